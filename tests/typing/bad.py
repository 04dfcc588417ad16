"""What must fail: one mistake a line, marked `# E…`, with the ignore that each gate needs there and no other.

A stale ignore, a wrong code and an error on an unmarked line are errors themselves. `test_static.py` gives this file to
the checkers, and a copy without its ignores, so that the table of who catches what is measured. It is never run:
`tests/fundamentals/test_wrong_calls.py` shows that the same mistakes are refused at run time. E12, `delay_by` with
`delay_until`, is refused at the `options()` line, and by no checker.
"""

from typedgator import Call, Gator, Job, Task
from typedgator.testing import assert_enqueued, assert_not_enqueued

gator = Gator("locmem://")


class Order:
    """Like a row of an ORM."""


@gator.register
def send_mail(user_id: int, subject: str, *, urgent: bool = False) -> str:
    return subject


@gator.register
async def fetch(page: int) -> str:
    return str(page)


@gator.register
def add(a: int, b: int) -> int:
    return a + b


def plain(x: int) -> int:
    return x


@gator.hook
def takes_str(job: Job[str], result: str) -> None: ...


@gator.hook
def begins_str(job: Job[str]) -> None: ...


@gator.hook
def takes_anything(job: Job[object], result: object) -> None: ...


opts = gator.options(retries=1)
of_str = gator.options(on_success=takes_str)
of_anything = gator.options(on_success=takes_anything)

# calls
send_mail("1", "hi")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # E01 plain call, wrong type
gator.task(send_mail, "1", "hi")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # E02 gator.task, wrong type
gator.task(send_mail, 1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # E03 missing argument
gator.task(send_mail, 1, "hi", urgnt=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # E04 misspelt keyword
gator.task(send_mail, 1, "hi", True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # E05 too many positional
gator.task(plain, 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]  # E06 not registered
send_mail.task(1, subject=2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # E07 fn.task, wrong type
number: int = send_mail.task(1, "hi").result()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]  # E08 another result type
opts.task(send_mail, 1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # E14 missing argument through opts.task
opts.task(send_mail, "1", "hi")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # E14b wrong type through opts.task
opts.task(plain, 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]  # E14c not registered, through opts.task

# options
gator.options(retrys=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # E09 unknown option
gator.options(retries="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # E10 option of wrong type
gator.options(delay_by="60")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # E11 option of wrong type


@gator.register(que="images")  # type: ignore[call-overload, untyped-decorator]  # pyright: ignore[reportCallIssue, reportUntypedFunctionDecorator]  # E15 unknown register option
def misspelt() -> None: ...


@gator.register(queue=3)  # type: ignore[call-overload, untyped-decorator]  # pyright: ignore[reportArgumentType]  # E16 wrong-typed register option
def mistyped() -> None: ...


# hooks
of_str.task(add, 1, 2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # E13 hook for another result type
gator.options(on_start=begins_str).task(add, 1, 2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # E13b the job that a hook takes counts, too


@gator.register(on_success=takes_str)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]  # E13c hook for another result type, at registration
def gives_int() -> int:
    return 1


@gator.register(on_success=takes_str)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]  # E13d the same beside an async def
async def gives_int_later() -> int:
    return 1


gator.options(on_error=takes_str)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # E13e a hook of the wrong shape
gator.batch(of_str).task(add, 1, 2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # E13f hook for another result type, in a batch


# async
async def from_async_code() -> None:
    await gator.atask(fetch, "1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # E17 atask, wrong type
    gator.atask(fetch, 1)  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]  # E18 atask not awaited
    fetch(1)  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]  # E19 async task called, not awaited
    await fetch("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # E21 async task called, wrong type
    await fetch.atask()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # E17b fn.atask, missing argument
    await opts.atask(fetch, "1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # E17c opts.atask, wrong type
    await (await fetch.atask(1)).result()  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]  # E17d the result of the async twin


# jobs
wrong: str = send_mail.task(1, "hi")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]  # E20 a job is not its result
job: Job[int] = send_mail.task(1, "hi")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]  # E23 Job[str] is not Job[int]
found: Job[int] = gator.job("id", send_mail)  # type: ignore[arg-type]  # pyright: ignore[reportAssignmentType]  # E23b a job read back through its task
gator.job("id").result() + 1  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue, reportUnusedExpression]  # E23c a job read back without its task gives an object
task: Task[[int], int] = send_mail  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]  # E23d tasks of other parameters


# definitions
@gator.register
def untyped(x): return x  # type: ignore[no-untyped-def]  # pyright: ignore[reportMissingParameterType, reportUnknownParameterType, reportUnknownVariableType]  # fmt: skip  # E22 a task without annotations


# the ways of a batch and of many
with gator.batch() as batch:
    batch.task(add, 1, "2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # E24 wrong type in a batch
gator.task_many(send_mail, [1, 2])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]  # E25 calls that are no tuples
gator.task_many(plain, [(1,)])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # E25b not registered

# what a test expects
assert_enqueued(send_mail, "1", "hi")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # E29 assert_enqueued, wrong type
assert_enqueued(send_mail, 1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # E29b assert_enqueued, missing argument
assert_enqueued(send_mail, 1, "hi", urgnt=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # E29c assert_enqueued, misspelt keyword
assert_enqueued(plain, 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]  # E29d assert_enqueued, not registered
expected: Job[int] = assert_enqueued(send_mail, 1, "hi")  # type: ignore[arg-type]  # pyright: ignore[reportAssignmentType]  # E29e assert_enqueued, another result type
assert_not_enqueued(send_mail, "1", "hi")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]  # E30 assert_not_enqueued, wrong type
assert_not_enqueued(plain)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]  # E30b assert_not_enqueued, not registered


# changing a task
@send_mail.upgrade
def wrong_type(user: str, subject: str) -> Call[str]:
    return send_mail.call(user, subject)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # E26 an upgrade that calls with a wrong type


@send_mail.upgrade
def too_few(user_id: int) -> Call[str]:
    return send_mail.call(user_id)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue, reportUnknownVariableType]  # E26b ... with an argument missing


@send_mail.upgrade
def misnamed(user_id: int, subject: str, prio: bool) -> Call[str]:
    return send_mail.call(user_id, subject, urgnt=prio)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue, reportUnknownVariableType]  # E26c ... with a misspelt keyword


@send_mail.upgrade
def other_task(user_id: int) -> Call[str]:
    return add.call(user_id, 1)  # type: ignore[return-value]  # pyright: ignore[reportReturnType]  # E26d ... that returns a call of another task


@send_mail.upgrade  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # E26e ... that is declared to call another task
def other_call(user_id: int) -> Call[int]:
    return add.call(user_id, 1)


@send_mail.upgrade  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # E26f ... that returns arguments, and no call
def no_call(user_id: int) -> tuple[int, str]:
    return user_id, "subject"


@send_mail.upgrade  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # E26g ... that is an async def
async def later(user_id: int) -> Call[str]:
    return send_mail.call(user_id, "subject")


@send_mail.upgrade
def queues(user_id: int) -> Call[str]:
    return send_mail.task(user_id, "subject")  # type: ignore[return-value]  # pyright: ignore[reportReturnType]  # E26h ... that queues a second job


gator.retired("app.gone", then="drop")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # E27 a way to retire that there is not


@gator.register(aliases="app.old")  # type: ignore[call-overload, untyped-decorator]  # pyright: ignore[reportArgumentType]  # E28 a name where a tuple of names is due
def renamed() -> None: ...


# what is right, and must not be reported: the canary
of_str.task(send_mail, 1, "hi")
of_anything.task(add, 1, 2)
with_hint: Job[int] = gator.job("id", add)
