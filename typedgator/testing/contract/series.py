"""Jobs that differ only in id and arguments: what a backend makes of a series is what it would make of its frames."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from typedgator.backends.contract import ATOMIC_BATCH, Backend, in_series
from typedgator.testing.contract.bench import Bench, Given, Hand, named, numbers, requires
from typedgator.testing.contract.waiting import while_waiting
from typedgator.wire.envelope import JobPolicy
from typedgator.wire.frame import Frame, FrameFlags, open_frame, pack_frame
from typedgator.wire.ids import JobId
from typedgator.wire.mould import Mould, Series, Shape
from typedgator.wire.states import JobState
from typedgator.wire.verdict import Failed, Succeeded

__all__ = ["InASeries"]


def series(*places: int, queue: str = "all", priority: int = 100, flags: int = 0) -> Series:
    """Jobs of these numbers, whose arguments are as long as the number."""
    return Series(
        ids=[named(number) for number in places],
        payloads=[bytes(number) for number in places],
        before=b"before \x00",
        between=b" between \xff",
        after=b" after",
        queue=queue,
        priority=priority,
        flags=FrameFlags(flags),
    )


def accept(backend: Backend, some: Series) -> Iterator[list[int]]:
    """By the facet; there because `can` says so."""
    facet = in_series(backend)
    assert facet is not None, "`can` promises series, but its method is not there"
    return facet.enqueue_series(some)


def shape(queue: str = "all", priority: int = 100, flags: int = 0) -> Shape:
    """Of jobs of some task."""
    mould = Mould("some.task", "0123456789abcdef", JobPolicy(retries=2), {"tenant": "acme"}, ("secret",))
    return Shape(mould=mould, queue=queue, priority=priority, crash_budget=2, flags=FrameFlags(flags))


def press(backend: Backend, of: Shape, face: str) -> Callable[[bytes], JobId]:
    """What accepts jobs of a shape; `loop`: from an event loop, three at once that are in each other's company."""
    facet = in_series(backend)
    assert facet is not None, "`can` promises series, but its method is not there"
    if face == "thread":
        pressed = facet.press(of)
        assert pressed is not None, "on the machine's own clock each job is accepted by itself"
        return pressed
    apressed = facet.apress(of)
    assert apressed is not None, "where threads press, loops do"

    async def among_others(payload: bytes) -> JobId:
        return (await asyncio.gather(apressed(payload), apressed(b"second"), apressed(b"third")))[0]

    return lambda payload: asyncio.run(among_others(payload))


FACES = pytest.mark.parametrize("face", ["thread", "loop"])


class InASeries(Given):
    """`enqueue_series`, `press` and `apress`."""

    @requires("series")
    @FACES
    def test_what_is_pressed_is_stored_as_its_frame_would_be(self, live: Backend, face: str) -> None:
        """Byte for byte, with an id of ours, whose time is the envelope's; as long as its arguments may be."""
        of = shape("images", 7, FrameFlags.RESULT_WANTED)
        accepts, hand = press(live, of, face), Hand(live, ["images"], 60_000)
        for payload in (b"\x80", b"x" * 1000, b"\r\n" * 40_000):
            job_id = accepts(payload)

            claimed = {each.job_id: each for each in hand.claim()}[job_id]
            frame = Frame(
                job_id=job_id,
                queue="images",
                envelope=of.mould.envelope(job_id, payload, int.from_bytes(job_id[:6], "big")),
                priority=7,
                crash_budget=2,
                flags=FrameFlags.RESULT_WANTED,
            )
            assert claimed.frame == pack_frame(frame, open_frame(claimed.frame).accepted_ms)
            assert (len(job_id), job_id[6] >> 4, job_id[8] >> 6) == (16, 7, 2)

    @requires("series")
    @FACES
    def test_each_call_of_a_press_is_another_job(self, live: Backend, face: str) -> None:
        """In line with all others, by priority, then in the order of accepting."""
        ordinary, urgent = press(live, shape(), face), press(live, shape(priority=101), face)
        some = [ordinary(b"\x80"), ordinary(b"\x80")]
        list(accept(live, series(1)))
        some += [ordinary(b"\x80"), urgent(b"\x80")]

        order = [each.job_id for each in Hand(live, ["all"], 60_000).claim(100)]

        assert [job_id for job_id in order if job_id in (*some, named(1))] == [some[3], *some[:2], named(1), some[2]]
        assert len(set(order)) == len(order) == (5 if face == "thread" else 13)

    @requires("series")
    @FACES
    def test_a_waiting_claim_is_woken_by_a_press(self, live: Backend, face: str) -> None:
        """As by any enqueue, for a queue that nobody knew."""
        hand = Hand(live, ["new"], 60_000)

        claimed = while_waiting(hand, lambda: press(live, shape("new"), face)(b"\x80"))

        assert {open_frame(each.frame).queue for each in claimed} == {"new"}

    @requires("series")
    @pytest.mark.parametrize("queue", ["all", "images"])
    def test_its_jobs_are_stored_as_its_frames_would_be(self, bench: Bench, queue: str) -> None:
        """Byte for byte, in order, under the same queue, priority and flags."""
        some = series(3, 1, 2, queue=queue, priority=7, flags=FrameFlags.RESULT_WANTED)
        now_ms = bench.clock.now_ms()

        assert list(accept(bench.backend, some)) == [[]]

        claimed = bench.hand(queue).claim()
        assert [each.frame for each in claimed] == [pack_frame(frame, now_ms) for frame in some.frames()]
        assert numbers(claimed) == [3, 1, 2]

    @requires("series")
    def test_its_jobs_get_in_line_with_all_others(self, bench: Bench) -> None:
        """By priority, then by the order of accepting."""
        bench.accept(*series(1).frames())
        assert list(accept(bench.backend, series(2, 3))) == [[]]
        bench.accept(*series(4).frames())
        assert list(accept(bench.backend, series(5, priority=101))) == [[]]

        assert numbers(bench.hand().claim()) == [5, 1, 2, 3, 4]

    @requires("series")
    @pytest.mark.parametrize("known", ["waiting", "running", "success", "failed"])
    def test_a_known_job_is_left_as_it_is(self, bench: Bench, known: str) -> None:
        """Its place is told, and nothing of it is written; the others are accepted."""
        bench.accept(*series(2).frames())
        hand = bench.hand()
        if known != "waiting":
            claimed = hand.claim_one()
            if known != "running":
                hand.settle(claimed, Succeeded() if known == "success" else Failed(b"outcome"))
        before = bench.record(2)

        assert list(accept(bench.backend, series(1, 2, 3))) == [[1]]

        assert bench.record(2) == before
        assert bench.states(1, 3) == [JobState.WAITING] * 2

    @requires("series")
    def test_many_are_several_writes(self, bench: Bench) -> None:
        """ATOMIC_BATCH at a time, in order; places are those in the whole series."""
        many = 2 * ATOMIC_BATCH + 7
        bench.accept(*series(ATOMIC_BATCH, many - 1).frames())

        answers = list(accept(bench.backend, series(*range(many))))

        assert answers == [[], [ATOMIC_BATCH], [many - 1]]
        order = [ATOMIC_BATCH, many - 1, *(each for each in range(many - 1) if each != ATOMIC_BATCH)]
        assert numbers(bench.hand().claim(many)) == order

    @requires("series")
    def test_an_empty_one_is_nothing(self, bench: Bench) -> None:
        """No job, no write."""
        assert list(accept(bench.backend, series())) == []

        assert bench.inspect.counts().queues == {}

    @requires("series")
    def test_nothing_is_sent_before_it_is_asked_for(self, bench: Bench) -> None:
        """The first write leaves when somebody wants to know of it."""
        answers = accept(bench.backend, series(1))
        assert bench.find(1) is None

        assert next(answers) == []

        assert bench.state(1) is JobState.WAITING

    @requires("series")
    def test_what_is_asked_meanwhile_has_its_own_answer(self, bench: Bench) -> None:
        """Between two writes the same thread may ask anything else; after the last one, and after it stopped, too."""
        answers = accept(bench.backend, series(*range(3 * ATOMIC_BATCH)))
        for _ in range(3):
            assert next(answers) == []
            assert bench.state(0) is JobState.WAITING
        assert next(answers, None) is None
        assert bench.record(1).job_id == named(1)

    @requires("series")
    def test_whoever_stops_asking_is_not_in_the_way(self, bench: Bench) -> None:
        """What was told is accepted, of what follows at most one write is; the next question has its own answer."""
        answers = accept(bench.backend, series(*range(4 * ATOMIC_BATCH)))
        assert next(answers) == []
        del answers

        assert bench.state(ATOMIC_BATCH - 1) is JobState.WAITING
        assert bench.find(2 * ATOMIC_BATCH) is None

    @requires("series")
    def test_a_waiting_claim_is_woken(self, live: Backend) -> None:
        """As by any enqueue."""
        hand = Hand(live, ["all"], 60_000)

        claimed = while_waiting(hand, lambda: list(accept(live, series(1))))

        assert numbers(claimed) == [1]
