"""One priority level's queues as a state machine: limits, fairness, no starvation, seats given back."""

from __future__ import annotations

from collections import Counter, deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kijabi.apiserver.flowcontrol.queueset import KEPT, QueueSet, Queuing, Ticket, Work
from kijabi.apiserver.flowcontrol.shuffle import deal, flow_hash

ONE = Work()


def queues(limit: int = 4, count: int = 8, length: int = 50) -> QueueSet:
    return QueueSet(limit, Queuing(count, length), 0.0)


def take(found: Ticket | None) -> Ticket:
    assert found is not None
    return found


def test_who_finds_a_seat_is_seated_and_who_does_not_waits() -> None:
    level = queues(limit=2)
    first, second, third = (take(level.start(ONE, (0,), 0.0, name)) for name in "abc")
    assert (first.seated, second.seated, third.seated) == (True, True, False)
    assert level.finish(first, 0.01) == [third]
    assert third.seated
    assert level.seats == 2


def test_a_full_queue_refuses_and_others_do_not() -> None:
    level = queues(limit=1, length=2)
    seated = take(level.start(ONE, (0,), 0.0, "seated"))
    for number in range(2):
        assert not take(level.start(ONE, (0,), 0.0, number)).seated
    assert level.start(ONE, (0,), 0.0, "refused") is None
    other = take(level.start(ONE, (1,), 0.0, "another queue"))
    assert level.rejected == 1
    assert level.finish(seated, 0.01) == [other]  # its queue has had nothing yet


def test_queues_stay_bounded_while_seats_are_kept() -> None:
    level = queues(limit=KEPT, length=3)
    for number in range(KEPT + 10):
        level.start(ONE, (0,), 0.0, number)
    assert (level.executing, level.waiting, level.rejected) == (KEPT - 1, 3, 8)


def test_without_queues_what_finds_no_seat_is_refused() -> None:
    level = QueueSet(1, None, 0.0)
    first = take(level.start(ONE, (), 0.0, "a"))
    assert level.start(ONE, (), 0.0, "b") is None
    level.finish(first, 0.0)
    assert level.start(ONE, (), 0.0, "c") is not None


def test_the_exempt_never_wait() -> None:
    level = QueueSet(0, None, 0.0, exempt=True)
    assert all(take(level.start(ONE, (), 0.0, n)).seated for n in range(1000))


def test_who_leaves_while_waiting_leaves_the_place_to_others() -> None:
    level = queues(limit=1, length=1)
    seated = take(level.start(ONE, (0,), 0.0, "seated"))
    gone = take(level.start(ONE, (0,), 0.0, "gone"))
    assert level.cancel(gone, 1.0) == []
    follower = take(level.start(ONE, (0,), 1.0, "follower"))
    assert level.finish(seated, 1.0) == [follower]
    level.finish(follower, 1.0)
    assert level.idle
    assert not level.seats
    assert not level.seats_waiting


def test_what_follows_from_a_write_holds_seats_for_its_time() -> None:
    level = queues(limit=4)
    write = take(level.start(Work(1, 4, 0.5), (0,), 0.0, "write"))
    other = take(level.start(ONE, (1,), 0.0, "other"))
    assert not other.seated
    assert level.finish(write, 0.1) == []
    assert level.release(write, 0.6) == [other]


def test_a_queue_that_holds_nothing_gets_a_seat_though_another_holds_all_it_may() -> None:
    level = queues(limit=KEPT * 2)
    hog = [take(level.start(ONE, (0,), 0.0, n)) for n in range(KEPT * 4)]
    assert sum(each.seated for each in hog) == KEPT * 2 - 2
    polite = take(level.start(ONE, (1,), 0.0, "polite"))
    assert polite.seated


@pytest.mark.parametrize("width", [1, 3])
def test_two_busy_flows_get_the_same_whatever_they_send(width: int) -> None:
    """Each has always many waiting; one's requests are wider. What they are served differs by little."""
    level, served, executing = queues(limit=6, count=2), Counter[int](), deque[Ticket]()
    works = (ONE, Work(width))
    for flow in (0, 1):
        for _ in range(30):
            ticket = take(level.start(works[flow], (flow,), 0.0, flow))
            if ticket.seated:
                executing.append(ticket)
    now = 0.0
    for _ in range(3000):
        now += 0.003 / 6
        done = executing.popleft()
        served[done.whose] += done.width
        executing.extend(level.finish(done, now))
        again = take(level.start(works[done.whose], (done.whose,), now, done.whose))
        if again.seated:
            executing.append(again)
    assert abs(served[0] - served[1]) <= 0.1 * sum(served.values())


def test_nobody_starves_behind_many_who_come_again_and_again() -> None:
    level = queues(limit=2, count=16)
    executing = deque(take(level.start(ONE, (n % 15,), 0.0, n)) for n in range(2))
    for number in range(40):
        level.start(ONE, (number % 15,), 0.0, number)
    patient = take(level.start(Work(2), (15,), 0.0, "patient"))
    now = 0.0
    for number in range(200):
        now += 0.003
        executing.extend(level.finish(executing.popleft(), now))
        level.start(ONE, (number % 15,), now, number)
        if patient.seated:
            return
    pytest.fail("it never got its seats")


STEP = st.tuples(
    st.sampled_from(("start", "start", "start", "finish", "cancel", "limit")),
    st.integers(0, 1000),
    st.integers(1, 6),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(STEP, max_size=120))
def test_whatever_happens_the_books_are_right(steps: list[tuple[str, int, int]]) -> None:
    level = queues(limit=5, count=4, length=4)
    waiting: list[Ticket] = []
    executing: list[Ticket] = []
    lingering: list[Ticket] = []
    now = 0.0
    for what, number, width in steps:
        now += 0.001 * (number % 7)
        started: list[Ticket] = []
        grown = False
        match what:
            case "start":
                work = Work(1, width, 0.01) if number % 3 == 0 else Work(width)
                ticket = level.start(work, deal(flow_hash("s", str(number % 5)), 4, 2), now, number)
                if ticket is not None:
                    (executing if ticket.seated else waiting).append(ticket)
            case "finish" if executing:
                ticket = executing.pop(number % len(executing))
                started = level.finish(ticket, now)
                if ticket.work.seconds:
                    lingering.append(ticket)
            case "finish" if lingering:
                started = level.release(lingering.pop(), now)
            case "cancel" if waiting:
                started = level.cancel(waiting.pop(number % len(waiting)), now)
            case "limit":
                grown = width < level.capacity
                started = level.limit(width, now)
        for ticket in started:
            waiting.remove(ticket)
            executing.append(ticket)
        held = executing + lingering
        assert level.waiting == len(waiting)
        assert level.executing == len(executing)
        assert level.seats == sum(ticket.width for ticket in held)
        assert level.seats_waiting == sum(ticket.width for ticket in waiting)
        assert level.seats <= level.capacity or grown or "limit" in (each for each, _, _ in steps)
        assert all(ticket.seated for ticket in held)
        assert not any(ticket.seated for ticket in waiting)
        if waiting and not held:
            assert level.capacity == 0, "seats are free and somebody waits"
    for ticket in executing:
        level.finish(ticket, now)


def test_demand_is_what_was_wanted_over_the_time() -> None:
    level = queues(limit=1)
    first = take(level.start(ONE, (0,), 0.0, "a"))
    second = take(level.start(ONE, (1,), 0.0, "b"))
    level.finish(first, 5.0)
    level.finish(second, 10.0)
    found = level.demand(10.0)
    assert (found.seconds, found.average, found.most) == (10.0, 1.5, 2)
    assert found.deviation == pytest.approx(0.5)


def test_virtual_time_passes_as_fast_as_each_busy_queue_is_served() -> None:
    level = queues(limit=2)
    tickets = [take(level.start(ONE, (n,), 0.0, n)) for n in range(4)]
    level.finish(tickets[0], 1.0)
    assert level.r == pytest.approx(2 / 4)


def test_hands_differ_and_hold_different_queues() -> None:
    hands = {deal(flow_hash("global-default", f"user-{n}"), 128, 6) for n in range(200)}
    assert len(hands) == 200
    assert all(len(set(hand)) == 6 and min(hand) >= 0 and max(hand) < 128 for hand in hands)


def test_dealing_is_upstreams() -> None:
    """Every hand of a small deck comes up equally often."""
    counts = Counter(deal(number, 4, 2) for number in range(12))
    assert set(counts.values()) == {1}
    assert len(counts) == 12
