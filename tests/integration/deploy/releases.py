"""Three releases of one shop, as source text, each in a folder of its own: what they change breaks jobs both ways."""

from typing import Final

COMMON: Final = """
import os
from typing import Annotated

from pydantic import Field

from typedgator import Call, Gator, current_job

gator = Gator()


def ran(key: str, what: str) -> None:
    '''One line for each run; so short a write is never torn.'''
    line = f"{key} {what} {current_job().attempt} {RELEASE}\\n"
    journal = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(journal, line.encode())
    os.close(journal)
"""

FIRST: Final = (
    "RELEASE = 'A'\n"
    + COMMON
    + """
@gator.register
def mail(user_id: int, key: str) -> None:
    ran(key, f"mail:{user_id}")

@gator.register
def charge(key: str, amount: int) -> None:
    ran(key, f"charge:{amount}")

@gator.register
async def resize(key: str) -> None:
    ran(key, "resize")

@gator.register
def legacy(key: str) -> None:
    ran(key, "legacy")

def enqueue(key: str, n: int) -> list[str]:
    '''A call of each task; the keys that they write when they run.'''
    mail.task(n, key + "-mail")
    charge.task(key + "-charge", amount=n % 5 - 1)
    resize.task(key + "-resize")
    legacy.task(key + "-legacy")
    return [key + "-mail", key + "-charge", key + "-resize", key + "-legacy"]
"""
)
"""Release A."""

SECOND: Final = (
    "RELEASE = 'B'\n"
    + COMMON
    + """
@gator.register
def mail(user: str, key: str, *, lang: str = "en") -> None:
    ran(key, f"mail:{user}:{lang}")

@mail.upgrade
def mail_v1(user_id: int, key: str) -> Call[None]:
    return mail.call(f"u{user_id}", key, lang="old")

@gator.register
def charge(key: str, amount: Annotated[int, Field(ge=0)]) -> None:
    ran(key, f"charge:{amount}")

@gator.register(aliases=("shop.resize",))
async def thumbnail(key: str) -> None:
    ran(key, "thumbnail")

@gator.register
def audit(key: str) -> None:
    ran(key, "audit")

def enqueue(key: str, n: int) -> list[str]:
    mail.task(f"u{n}", key + "-mail", lang="new")
    charge.task(key + "-charge", amount=n % 5)
    thumbnail.task(key + "-thumbnail")
    audit.task(key + "-audit")
    return [key + "-mail", key + "-charge", key + "-thumbnail", key + "-audit"]
"""
)
"""Release B: `mail` takes other arguments, `charge` fewer values, `resize` has another name, `legacy` is gone, `audit`
is new."""

THIRD: Final = (
    SECOND.replace("RELEASE = 'B'", "RELEASE = 'C'").partition("def enqueue")[0]
    + """
@gator.register
def future(key: str) -> None:
    ran(key, "future")

def enqueue(key: str, n: int) -> list[str]:
    future.task(key + "-future")
    return [key + "-future"]
"""
)
"""Release C: `future` is new, and neither A nor B knows it."""

PRODUCER: Final = """
import sys
from pathlib import Path
from threading import Event

import shop

ledger, stop, most = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
with ledger.open("a") as accepted:
    for n in range(most):
        if stop.exists():
            break
        print(*shop.enqueue(f"{shop.RELEASE}{n}", n), sep="\\n", file=accepted, flush=True)
        Event().wait(0.02)  # the load: fifty rounds a second
"""
