"""The hard interleavings by name, each played step by step on a real server: no chance, no sleep.

The contract suite has most of these for every backend; here they stand where somebody looks for them, with what only a
server and processes of their own can do: replies that are cut, a clock that is set, workers that die.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from itertools import count, product
from pathlib import Path
from threading import Thread

import pytest

from tests.integration.chaos.journal import Tail
from tests.integration.chaos.proxy import Proxy
from tests.integration.chaos.stages import MovedServer, clock_shim
from tests.integration.redis.servers import Cluster, Server, needs_redis, until
from typedgator.backends.connect import connect
from typedgator.backends.contract import CancelAnswer, Claimed, Receipt, ReceiptStatus, Settled
from typedgator.backends.redis import Place, RedisBackend
from typedgator.backends.redis.audit import faults
from typedgator.context import current_job
from typedgator.errors import BackendUnavailable
from typedgator.gator import Gator
from typedgator.testing.clock import FakeClock
from typedgator.testing.contract import Hand, job
from typedgator.testing.contract.bench import KEY, LEASE_MS, Named, named, numbers
from typedgator.wire.ids import JobId, parse_id
from typedgator.wire.states import JobState
from typedgator.wire.verdict import Failed, Released, RetryIn, Succeeded, Verdict
from typedgator.worker import Worker

pytestmark = needs_redis
ROOT = Path(__file__).resolve().parents[3]
NIGHTLY = JobId(b"nightly:2024-03-10T02:30:00Z")
_numbers = count()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One for all; each test has a namespace of its own."""
    with Server() as started:
        yield started


@pytest.fixture(scope="module")
def proxy(server: Server) -> Iterator[Proxy]:
    """In front of it."""
    with Proxy(server.port) as started:
        yield started


@pytest.fixture
def clock() -> FakeClock:
    """The clock that the scripts ask."""
    return FakeClock()


@pytest.fixture
def backend(proxy: Proxy, clock: FakeClock) -> Iterator[RedisBackend]:
    """Through the proxy."""
    place = Place(host="127.0.0.1", port=proxy.port)
    with closing(RedisBackend(place, namespace=f"hard-{next(_numbers)}", clock=clock)) as opened:
        opened.open()
        yield opened
        assert faults(opened) == []


@pytest.fixture
def losing(proxy: Proxy) -> Callable[[], None]:
    """Call it, and the reply to the next script is cut off after the server has run it."""
    before = proxy.cut

    def lose() -> None:
        nonlocal before
        before = proxy.cut
        proxy.cut_replies(1, having=b"EVALSHA")

    yield lose
    assert proxy.cut == before + 1, "no reply was cut: this test has tested nothing"


def state(backend: RedisBackend, name: Named) -> JobState | None:
    """The state of a job; None when it is not known."""
    record = backend.find(named(name))
    return record and record.state


def test_a_lost_claim_reply_comes_again_while_the_worker_lives(
    backend: RedisBackend, losing: Callable[[], None]
) -> None:
    """The jobs are its own already: it gets the same ones, under the same tokens, in their first attempt, once."""
    backend.enqueue([job(number) for number in range(9)])
    hand, other = Hand(backend, ["all"], LEASE_MS), Hand(backend, ["all"], LEASE_MS)
    assert numbers(hand.claim(1) + other.claim(4)) == [0, 1, 2, 3, 4]  # now the backend knows the queues
    losing()

    claimed = hand.claim(2)

    assert numbers(claimed) == [5, 6]
    assert [each.attempt for each in claimed] == [1, 1]
    assert numbers(other.claim()) == [7, 8]
    assert hand.claim() == []
    assert hand.settle_all(claimed, Succeeded()) == [Settled.WRITTEN] * 2


def test_a_claim_after_a_lost_reply_brings_the_lost_ones_and_nothing_new(backend: RedisBackend) -> None:
    """Also when the call that lost its reply was given up: whoever says what it has seen gets the rest."""
    backend.enqueue([job(number) for number in range(4)])
    hand = Hand(backend, ["all"], LEASE_MS)
    lost = hand.claim_and_lose_the_reply(2)

    again, new = hand.claim(10), hand.claim(10)

    assert again == lost
    assert numbers(new) == [2, 3]


def test_a_lost_wake_up_is_no_lost_time(proxy: Proxy, server: Server) -> None:
    """The only idle worker is woken, and its line is cut before it hears so: it looks again by itself, at once."""
    namespace = f"hard-{next(_numbers)}"
    place = Place(host="127.0.0.1", port=proxy.port)
    with (
        closing(RedisBackend(place, namespace=namespace)) as backend,
        closing(RedisBackend(Place(port=server.port), namespace=namespace)) as direct,
        ThreadPoolExecutor(1) as pool,
    ):
        backend.open()
        backend.enqueue([job(0)])
        hand = Hand(backend, ["all"], LEASE_MS)
        hand.succeed(hand.claim_one())
        before = proxy.cut
        proxy.cut_replies(1, having=b"BLPOP")
        waiting = pool.submit(hand.claim, 1, wait_ms=3000)
        until(lambda: server.info("clients")["blocked_clients"] == "1", "nobody waits")

        direct.enqueue([job(1)])

        assert numbers(waiting.result(30)) == [1]
        assert proxy.cut == before + 1
        assert faults(direct) == []


@pytest.mark.parametrize("verdict", [Succeeded(b"mine"), Succeeded(), RetryIn(1000, b"an error"), Released()])
def test_a_lost_settlement_reply_is_written_once(
    backend: RedisBackend, losing: Callable[[], None], verdict: Verdict
) -> None:
    """The settlement spent its token; sent again, it is what was written, and no other is under that token."""
    backend.enqueue([job(1)])
    hand = Hand(backend, ["all"], LEASE_MS)
    claimed = hand.claim_one()
    losing()

    assert hand.settle(claimed, verdict) is Settled.WRITTEN

    before = backend.find(named(1))
    assert hand.settle(claimed, Failed(b"another end")) is Settled.LOST
    assert backend.find(named(1)) == before


def test_a_reaped_worker_cannot_settle_after_anothers_success(backend: RedisBackend, clock: FakeClock) -> None:
    """Frozen past its lease, it wakes up with a result of its own: the outcome stays the other's."""
    backend.enqueue([job(1)])
    frozen, other = Hand(backend, ["all"], LEASE_MS), Hand(backend, ["all"], 10 * LEASE_MS)
    stale = frozen.claim_one()
    clock.advance(LEASE_MS)
    fresh = other.claim_one()
    assert (fresh.attempt, fresh.crashes) == (2, 1)
    assert fresh.token > stale.token
    assert frozen.settle(stale, Succeeded(b"mine")) is Settled.LOST
    assert other.settle(fresh, Succeeded(b"the other's")) is Settled.WRITTEN

    late = [frozen.settle(stale, verdict) for verdict in (Succeeded(b"mine"), RetryIn(0, None), Succeeded())]

    assert late == [Settled.LOST] * 3
    assert frozen.beat(stale).lapsed
    record = backend.find(named(1))
    assert record is not None
    assert (record.state, record.outcome) == (JobState.SUCCESS, b"the other's")


@pytest.mark.parametrize("name", [1, JobId(b"a caller's")])
def test_an_enqueue_repeated_blindly_after_a_cancel_makes_no_second_job(
    backend: RedisBackend, losing: Callable[[], None], name: Named
) -> None:
    """The reply to the enqueue was lost, somebody canceled the job meanwhile: the repetition finds it canceled."""
    losing()
    # The link repeats it by itself already; the caller, who knows nothing of that, does it once more.
    assert backend.enqueue([job(name)]) == [Receipt(ReceiptStatus.DUPLICATE, named(name))]
    assert backend.cancel(named(name)) is CancelAnswer.DONE

    assert backend.enqueue([job(name)]) == [Receipt(ReceiptStatus.DUPLICATE, named(name))]

    assert state(backend, name) is JobState.CANCELED
    assert Hand(backend, ["all"], LEASE_MS).claim() == []


def test_a_retried_and_a_delayed_job_keep_queue_and_priority(backend: RedisBackend, clock: FakeClock) -> None:
    """They come back where they belong: before those of lower priority, after those that were there before them."""
    low, high = 50, 150
    backend.enqueue(
        [
            *(job(1, "mail", priority=high), job(2, "mail", priority=low, delay_ms=1000)),
            *(job(3, "mail", priority=high, delay_ms=1000), job(4, "mail", priority=low)),
        ]
    )
    hand = Hand(backend, ["mail"], 10 * LEASE_MS)
    first = hand.claim_one()
    assert numbers([first]) == [1]
    assert hand.settle(first, RetryIn(1000, b"an error")) is Settled.WRITTEN
    backend.enqueue([job(5, "mail", priority=high), job(6, "mail")])
    assert [state(backend, name) for name in (1, 2)] == [JobState.RETRYING, JobState.SCHEDULED]

    clock.advance(1000)

    claimed = hand.claim()
    assert numbers(claimed) == [5, 1, 3, 6, 4, 2]
    assert {each.job_id: each.attempt for each in claimed}[named(1)] == 2
    assert Hand(backend, ["all"], LEASE_MS).claim() == []


def test_the_id_of_an_instant_makes_one_job_a_day(backend: RedisBackend, clock: FakeClock) -> None:
    """There is no cron yet: its jobs will have the name and the instant for an id, which is remembered for 24 h."""
    day_ms = int(timedelta(hours=24).total_seconds() * 1000)
    assert backend.enqueue([job(NIGHTLY)])[0].status is ReceiptStatus.NEW
    hand = Hand(backend, ["all"], 3 * day_ms)
    hand.succeed(hand.claim_one())

    for _ in range(3):
        assert backend.enqueue([job(NIGHTLY)])[0].status is ReceiptStatus.DUPLICATE
        clock.advance(day_ms // 3 - 1)
        backend.maintain(limit=100)

    assert backend.enqueue([job(NIGHTLY)])[0].status is ReceiptStatus.DUPLICATE
    assert hand.claim() == []
    assert state(backend, NIGHTLY) is JobState.SUCCESS


VERBS: dict[str, Callable[[RedisBackend, Hand, list[Claimed]], object]] = {
    "enqueue": lambda backend, hand, had: backend.enqueue([job(10), job(11)]),
    "enqueue delayed": lambda backend, hand, had: backend.enqueue([job(10, delay_ms=1000), job(11, unique=KEY)]),
    "claim": lambda backend, hand, had: hand.claim(2),
    "beat": lambda backend, hand, had: hand.beat(*had),
    "succeed": lambda backend, hand, had: hand.settle_all(had, Succeeded(b"a result")),
    "retry": lambda backend, hand, had: hand.settle_all(had, RetryIn(1000, b"an error")),
    "cancel": lambda backend, hand, had: backend.cancel(named(3)),
    "leave": lambda backend, hand, had: hand.leave(),
}


@pytest.mark.timeout(180)
def test_a_script_cut_by_a_migrating_slot_is_whole_or_not_at_all() -> None:
    """The keys of a namespace are on two servers for a while: a verb waits or raises, and never does a half."""
    with Cluster(node_timeout_ms=15_000) as cluster:
        for verb, moved in product(VERBS, (1, 3, 5)):
            namespace = f"cut-{next(_numbers)}"
            backend = connect(f"{cluster.dsn}?timeout=0.3", namespace=namespace)
            assert isinstance(backend, RedisBackend)
            with closing(backend):
                backend.open()
                backend.enqueue([job(number) for number in range(6)])
                hand = Hand(backend, ["all"], 600_000)
                had = hand.claim(2)
                slot = cluster.slot(namespace)
                to = next(server for server in cluster.servers if server is not cluster.owner(slot))

                with cluster.moving(slot, to) as move:
                    assert move(moved) == moved, "there were fewer keys"
                    try:
                        VERBS[verb](backend, hand, had)
                    except BackendUnavailable:
                        during = "refused"
                    else:
                        during = "done"

                assert faults(backend) == [], (verb, moved, during)
                VERBS[verb](backend, hand, had)
                assert faults(backend) == [], (verb, moved, during)
                _all_there(backend, verb)


def _all_there(backend: RedisBackend, verb: str) -> None:
    """Each job where it belongs after this verb, whether it was called once or twice."""
    states = [state(backend, number) for number in range(6)]
    mine = {
        "succeed": [JobState.SUCCESS] * 2,
        "retry": [JobState.RETRYING] * 2,
        "leave": [JobState.WAITING] * 2,
    }.get(verb, [JobState.RUNNING] * 2)
    assert states[:2] == mine, verb
    if verb == "claim":  # perhaps twice: two more each time
        assert states[2:4] == [JobState.RUNNING] * 2
    else:
        third = JobState.CANCELED if verb == "cancel" else JobState.WAITING
        assert states[2:] == [JobState.WAITING, third, JobState.WAITING, JobState.WAITING], verb
    if verb.startswith("enqueue"):
        assert {state(backend, 10), state(backend, 11)} <= {JobState.WAITING, JobState.SCHEDULED}


def test_a_settlement_that_a_failover_forgets_is_made_up_for_while_the_worker_lives() -> None:
    """The server is as it was before the settlement: the job is running, and its worker keeps the lease.

    The worker finds it under its name, knows nothing of it, and gives it back, after a quarter of a minute at most.
    """
    with Server(settings=("--enable-debug-command", "local")) as server, closing(Gator(server.dsn)) as gator:
        ran: list[int] = []

        @gator.register(name="work")
        def work() -> None:
            ran.append(current_job().token)
            if len(ran) == 1:
                server.ask("SAVE")

        worker = Worker(gator, lease=5)
        thread = Thread(target=worker.run)
        thread.start()
        try:
            job_id = parse_id(work.task().id)
            until(lambda: gator.backend.find(job_id).state is JobState.SUCCESS, "it did not end")
            server.ask("DEBUG", "RELOAD", "NOSAVE")
            if gator.backend.find(job_id).state is not JobState.RUNNING:
                raise RuntimeError("the server has not forgotten the settlement")

            until(lambda: len(ran) == 2, "it does not run again", 30)
            until(lambda: gator.backend.find(job_id).state is JobState.SUCCESS, "it did not end again")
        finally:
            worker.stop()
            thread.join(30)


POISON = """
import os, signal
from tests.integration.chaos.journal import Journal
from typedgator.context import current_job
from typedgator.context import current_job
from typedgator.errors import BackendUnavailable
from typedgator.gator import Gator

gator = Gator()
journal = Journal(os.environ["CHAOS_JOURNAL"])

@gator.register
def neighbour(number: int) -> int:
    journal.note("neighbour", current_job().id, current_job().attempt)
    return number

@gator.register
def poison() -> None:
    journal.note("poison", current_job().id, current_job().attempt)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.timeout(120)
def test_a_poison_job_takes_no_neighbour_with_it(tmp_path: Path) -> None:
    """Real workers claim it among forty others: it kills four of them and is failed, every neighbour succeeds."""
    (tmp_path / "poisoned.py").write_text(POISON)
    shim = clock_shim(tmp_path)
    if shim is None:
        pytest.skip("nothing here compiles C, and without a clock to set this takes half a minute")
    with MovedServer(shim) as server:
        env = {
            **os.environ,
            "TYPEDGATOR_CONN": server.dsn,
            "CHAOS_JOURNAL": str(tmp_path / "journal"),
            "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT))),
        }
        script = "import poisoned as p; print(*(p.neighbour.task(n).id for n in range(20)), p.poison.task().id, "
        script += "*(p.neighbour.task(n).id for n in range(20, 40)))"
        ids = subprocess.run([sys.executable, "-c", script], env=env, check=True, capture_output=True).stdout.split()
        work = [sys.executable, "-m", "typedgator", "worker", "poisoned:gator", "--burst", "--lease", "5"]
        codes = []
        while not codes or codes[-1] != 0:
            codes.append(subprocess.run(work, check=False, env=env, cwd=ROOT, stderr=subprocess.DEVNULL).returncode)
            server.step(6.0 * len(codes))  # the dead worker's lease is over
            assert len(codes) < 10, codes
        gator = Gator(server.dsn)
        records = [gator.backend.find(parse_id(job_id.decode())) for job_id in ids]
        gator.close()

    poison = records.pop(20)
    lines = Tail(tmp_path / "journal").read()
    assert [line.attempt for line in lines if line.what == "poison"] == [1, 2, 3, 4]
    assert (poison.state, poison.reason, poison.crashes) == (JobState.FAILED, "crashed", 4)
    assert [record.state for record in records] == [JobState.SUCCESS] * 40
    assert max(record.crashes for record in records) <= 1
    assert codes.count(-9) == 4
