"""What flow control has counted, and how its queues stand, as metric families under upstream's names.

`app.py` gives it to the page of metrics when somebody asks for that (k8s.io/apiserver
`pkg/util/flowcontrol/metrics/metrics.go`; KEP-1040 says what they are good for).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from kijabi.apiserver.flowcontrol.figures import Counts, Histogram
from kijabi.apiserver.flowcontrol.gate import FlowControl
from kijabi.apiserver.flowcontrol.levels import Level
from kijabi.apiserver.flowcontrol.queueset import Ticket

PREFIX = "apiserver_flowcontrol_"
PAIR = ("priority_level", "flow_schema")
Pairs = Mapping[tuple[str, str], int]

_LEVEL_GAUGES: tuple[tuple[str, str, Callable[[Level], float]], ...] = (
    ("nominal_limit_seats", "Seats by a level's shares.", lambda level: level.limits.nominal),
    ("lower_limit_seats", "Seats that stay to a level when others borrow.", lambda level: level.limits.least),
    ("upper_limit_seats", "Seats that a level may have with borrowed ones.", lambda level: level.limits.most),
    ("current_limit_seats", "Seats that a level has now.", lambda level: level.current),
    ("demand_seats_high_watermark", "Most seats wanted in the last period.", lambda level: level.demand.most),
    ("demand_seats_average", "Average of seats wanted in the last period.", lambda level: level.demand.average),
    ("demand_seats_stdev", "Its standard deviation.", lambda level: level.demand.deviation),
    ("demand_seats_smoothed", "Seats wanted, smoothed over the periods.", lambda level: level.smoothed),
    ("target_seats", "Seats that a level would have if there were enough.", lambda level: level.target),
    ("current_r", "Virtual time of a level's queues.", lambda level: level.queues.r),
)


class FlowFigures(Collector):
    """The families."""

    def __init__(self, control: FlowControl) -> None:
        self.control = control

    def collect(self) -> Iterable[Metric]:
        """Called by prometheus_client."""
        yield from self._levels()
        yield from self._totals()
        yield from self._present()
        yield from self._histograms()

    def _levels(self) -> Iterator[Metric]:
        levels = self.control.levels
        for name, text, read in _LEVEL_GAUGES:
            family = GaugeMetricFamily(PREFIX + name, text, labels=PAIR[:1])
            for level in levels.by_name.values():
                family.add_metric((level.name,), read(level))
            yield family
        fraction = GaugeMetricFamily(PREFIX + "seat_fair_frac", "Part of its target that each level could have.")
        fraction.add_metric((), levels.fair_fraction)
        yield fraction

    def _totals(self) -> Iterator[Metric]:
        went = CounterMetricFamily(PREFIX + "dispatched_requests", "Requests that were let through.", labels=PAIR)
        refused = CounterMetricFamily(
            PREFIX + "rejected_requests", "Requests that were refused, and why.", labels=(*PAIR, "reason")
        )
        for pair, counts in self.control.figures.counts.items():
            went.add_metric(pair, counts.dispatched)
            for reason, count in counts.rejected.items():
                refused.add_metric((*pair, reason), count)
        yield went
        yield refused
        name, text = "request_dispatch_no_accommodation", "How often the next request needed more seats than free."
        blocked = CounterMetricFamily(PREFIX + name, text, labels=PAIR[:1])
        for level in self.control.levels.by_name.values():
            blocked.add_metric((level.name,), level.queues.unseated)
        yield blocked

    def _present(self) -> Iterator[Metric]:
        waiting: list[Ticket] = []
        seated: list[Ticket] = []
        for level in self.control.levels.by_name.values():
            seated += level.queues.seated
            for queue in level.queues.queues:
                waiting += queue.waiting
                seated += queue.executing
        for name, text, tickets in (
            ("current_inqueue", "waiting in queues.", waiting),
            ("current_executing", "being answered.", seated),
        ):
            yield self._gauge(f"{name}_requests", f"Requests {text}", Counter(map(_pair, tickets)))
            seats: Counter[tuple[str, str]] = Counter()
            for ticket in tickets:
                seats[_pair(ticket)] += ticket.width
            yield self._gauge(f"{name}_seats", f"Seats of requests {text}", seats)

    def _gauge(self, name: str, text: str, found: Pairs) -> Metric:
        family = GaugeMetricFamily(PREFIX + name, text, labels=PAIR)
        for pair in self.control.figures.counts:
            family.add_metric(pair, found.get(pair, 0))
        return family

    def _histograms(self) -> Iterator[Metric]:
        counts = self.control.figures.counts

        def family(name: str, text: str, label: str, *reads: tuple[str, Callable[[Counts], Histogram]]) -> Metric:
            labels = (*PAIR, label) if label else PAIR
            made = HistogramMetricFamily(PREFIX + name, text, labels=labels)
            for pair, own in counts.items():
                for value, read in reads:
                    histogram = read(own)
                    if any(histogram.buckets):
                        made.add_metric((*pair, value) if label else pair, _rows(histogram), histogram.total)
            return made

        yield family(
            "request_wait_duration_seconds", "How long requests waited in a queue.", "execute",
            ("true", lambda own: own.waited), ("false", lambda own: own.waited_in_vain),
        )  # fmt: skip
        yield family(
            "request_execution_seconds", "How long requests held their seats.", "type",
            ("regular", lambda own: own.took), ("watch", lambda own: own.watch_took),
        )  # fmt: skip
        yield family(
            "request_queue_length_after_enqueue", "Length of a queue as each request found it.", "",
            ("", lambda own: own.lengths),
        )  # fmt: skip
        yield family("work_estimated_seats", "Seats that requests were thought to take.", "", ("", _seats))


def _pair(ticket: Ticket) -> tuple[str, str]:
    return (ticket.whose.flow.level.name, ticket.whose.flow.schema)


def _seats(counts: Counts) -> Histogram:
    """With the requests that took one seat, which are not counted apart."""
    found = Histogram(counts.seats.bounds)
    found.buckets = [counts.seats.buckets[0] + counts.one_seat, *counts.seats.buckets[1:]]
    found.total = counts.seats.total + counts.one_seat
    return found


def _rows(histogram: Histogram) -> list[tuple[str, float]]:
    below, rows = 0, []
    for bound, count in zip((*map(str, histogram.bounds), "+Inf"), histogram.buckets, strict=True):
        below += count
        rows.append((bound, float(below)))
    return rows
