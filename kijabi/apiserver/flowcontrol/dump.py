"""The debug pages of flow control: levels, queues and requests as they are now, in upstream's tables.

`protection.py` registers them. `kubectl get --raw /debug/api_priority_and_fairness/dump_priority_levels` shows one
(k8s.io/apiserver `pkg/util/flowcontrol/apf_controller_debug.go`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from kijabi.apiserver.flowcontrol.gate import FlowControl, Visit
from kijabi.apiserver.flowcontrol.levels import Level
from kijabi.apiserver.flowcontrol.queueset import Ticket
from kijabi.base import clock
from kijabi.client.transport import Request, Response

PATH = "/debug/api_priority_and_fairness"
LEVEL_COLUMNS = (
    "PriorityLevelName", "ActiveQueues", "IsIdle", "IsQuiescing", "WaitingRequests", "ExecutingRequests",
    "DispatchedRequests", "RejectedRequests", "TimedoutRequests", "CancelledRequests",
)  # fmt: skip
QUEUE_COLUMNS = (
    "PriorityLevelName", "Index", "PendingRequests", "ExecutingRequests", "SeatsInUse", "NextDispatchR",
    "InitialSeatsSum", "MaxSeatsSum", "TotalWorkSum",
)  # fmt: skip
REQUEST_COLUMNS = (
    "PriorityLevelName", "FlowSchemaName", "QueueIndex", "RequestIndexInQueue", "FlowDistingsher", "ArriveTime",
    "InitialSeats", "FinalSeats", "AdditionalLatency", "StartTime",
)  # fmt: skip
DETAIL_COLUMNS = ("UserName", "Verb", "APIPath", "Namespace", "Name", "APIVersion", "Resource", "SubResource")
MIN_WIDTH, PADDING = 8, 1  # of a column, as Go's text/tabwriter is told upstream
NEVER = "0001-01-01T00:00:00Z"

Row = Sequence[str]


def pages(control: FlowControl) -> dict[str, Callable[[Request], Response]]:
    """The pages by path."""
    return {
        f"{PATH}/dump_priority_levels": lambda _: _page([LEVEL_COLUMNS, *_levels(control)]),
        f"{PATH}/dump_queues": lambda _: _page([QUEUE_COLUMNS, *_queues(control)]),
        f"{PATH}/dump_requests": lambda request: _page(list(_requests(control, request))),
    }


def _page(rows: Sequence[Row]) -> Response:
    return Response(headers={"Content-Type": "text/plain; charset=utf-8"}, body=table(rows).encode())


def table(rows: Sequence[Row]) -> str:
    """Rows whose cells end in commas and stand below each other, the last cell of each as it is."""
    widths: list[int] = []
    for row in rows:
        for place, cell in enumerate(row[:-1]):
            width = max(MIN_WIDTH, len(cell) + len(",") + PADDING)
            if place < len(widths):
                widths[place] = max(widths[place], width)
            else:
                widths.append(width)
    lines = []
    for row in rows:
        cells = [f"{cell},".ljust(widths[place]) for place, cell in enumerate(row[:-1])]
        lines.append("".join(cells) + row[-1] + "\n")
    return "".join(lines)


def _named(control: FlowControl) -> Iterator[tuple[str, Level]]:
    control.refresh()
    yield from sorted(control.levels.by_name.items())


def _levels(control: FlowControl) -> Iterator[Row]:
    for name, level in _named(control):
        queues = level.queues
        active = sum(bool(queue.waiting) for queue in queues.queues)
        flags = ["true" if flag else "false" for flag in (queues.idle, level.leaving)]
        counts = (
            queues.waiting, queues.executing, queues.dispatched, queues.rejected, queues.timed_out, queues.cancelled,
        )  # fmt: skip
        yield [name, str(active), *flags, *map(str, counts)]


def _queues(control: FlowControl) -> Iterator[Row]:
    for name, level in _named(control):
        for queue in level.queues.queues:
            initial = sum(ticket.work.seats for ticket in queue.waiting)
            widest = sum(ticket.width for ticket in queue.waiting)
            sizes = (queue.index, len(queue.waiting), len(queue.executing), queue.seats)
            yield [name, *map(str, sizes), _work(queue.next_r), str(initial), str(widest), _work(queue.work)]


def _requests(control: FlowControl, request: Request) -> Iterator[Row]:
    details = bool(request.param("includeRequestDetails"))
    offset = clock.wall() - clock.monotonic()
    yield (*REQUEST_COLUMNS, *DETAIL_COLUMNS) if details else REQUEST_COLUMNS
    for name, level in _named(control):
        for queue in level.queues.queues:
            for place, ticket in enumerate(queue.waiting):
                yield _request(name, queue.index, place, ticket, offset, details)
            for ticket in queue.executing:
                yield _request(name, queue.index, -1, ticket, offset, details)
        for ticket in level.queues.seated:
            yield _request(name, -1, -1, ticket, offset, details)


def _request(level: str, queue: int, place: int, ticket: Ticket, offset: float, details: bool) -> Row:
    visit: Visit = ticket.whose
    work, flow = ticket.work, visit.flow
    row = [
        level, flow.schema, str(queue), str(place), flow.distinguisher, _moment(ticket.arrived + offset),
        str(work.seats), str(work.final_seats), _seconds(work.seconds),
        _moment(ticket.started + offset) if ticket.seated else NEVER,
    ]  # fmt: skip
    if details:
        info = visit.info
        version = f"{info.group}/{info.version}" if info.group else info.version
        row += [
            visit.user.name, info.verb, info.path, info.namespace, info.name, version, info.resource, info.subresource,
        ]  # fmt: skip
    return row


def _work(seats: float) -> str:
    """Seat-seconds as upstream writes them."""
    return f"{seats:.8f}ss"


def _seconds(seconds: float) -> str:
    """A short duration as Go writes it."""
    return f"{seconds * 1000:g}ms" if seconds else "0s"


def _moment(seconds: float) -> str:
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    return f"{text}Z"
