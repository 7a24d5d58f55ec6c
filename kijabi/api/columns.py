"""Columns of `kubectl get` that many kinds share, and how their cells are worded.

A kind's file builds its `columns` from these and gives them to its Resource; `apiserver/table.py` writes the rows.
Names, order, priorities and texts are those of k8s.io/kubernetes `pkg/printers/internalversion`, which people and
scripts read word for word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kijabi.api.meta import LabelSelector, MicroTime, Time
from kijabi.api.resource import Column
from kijabi.api.selector import from_label_selector
from kijabi.base import clock
from kijabi.base.errors import BadRequest

Cell = Callable[[Any], str | int | float | bool | None]

NONE = "<none>"
UNSET = "<unset>"
UNKNOWN = "<unknown>"

_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400


def column(name: str, cell: Cell, description: str = "", *, type: str = "string", wide: bool = False) -> Column:
    """A column; wide: shown with `-o wide` only."""
    return Column(name=name, cell=cell, description=description, type=type, priority=1 if wide else 0)


def number(name: str, cell: Cell, description: str = "") -> Column:
    """A column of whole numbers."""
    return column(name, cell, description, type="integer")


def human_duration(seconds: float) -> str:
    """A span of time in at most two units: `5s`, `3m20s`, `4h`, `2d6h`, `1y20d` (apimachinery `util/duration`)."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 2 * _MINUTE:
        return f"{max(whole, 0)}s"
    if whole < 10 * _MINUTE:
        return _two(whole, _MINUTE, "m", 1, "s")
    if whole < 3 * _HOUR:
        return f"{whole // _MINUTE}m"
    if whole < 8 * _HOUR:
        return _two(whole, _HOUR, "h", _MINUTE, "m")
    if whole < 2 * _DAY:
        return f"{whole // _HOUR}h"
    if whole < 8 * _DAY:
        return _two(whole, _DAY, "d", _HOUR, "h")
    if whole < 2 * _YEAR:
        return f"{whole // _DAY}d"
    if whole < 8 * _YEAR:
        return _two(whole, _YEAR, "y", _DAY, "d")
    return f"{whole // _YEAR}y"


def _two(seconds: int, large: int, large_name: str, small: int, small_name: str) -> str:
    whole, rest = seconds // large, seconds % large // small
    return f"{whole}{large_name}{rest}{small_name}" if rest else f"{whole}{large_name}"


def since(moment: Time | MicroTime | None) -> str:
    """How long ago a moment was."""
    return human_duration(clock.wall() - moment.timestamp()) if moment else UNKNOWN


def age(obj: Any) -> str:
    """How long ago an object was made."""
    return since(obj.metadata.creationTimestamp)


NAME = Column(
    name="Name",
    cell=lambda obj: str(obj.metadata.name),
    format="name",
    description="The name of the object, unique within its namespace and resource.",
)
AGE = column("Age", age, "How long ago the server accepted the object.")


def label_text(labels: Mapping[str, str]) -> str:
    """Labels as `a=b,c=d`, or `<none>`."""
    return ",".join(f"{key}={labels[key]}" for key in sorted(labels)) or NONE


def selector_text(selector: LabelSelector | None, *, broken: str = "<error>", empty: str = NONE) -> str:
    """A LabelSelector in the grammar of `kubectl get -l`."""
    try:
        return str(from_label_selector(selector)) or empty
    except BadRequest:
        return broken


def first_few(texts: Sequence[str], limit: int = 3) -> str:
    """The first texts and how many more there are: `a,b,c + 2 more...`."""
    shown = ",".join(texts[:limit])
    return f"{shown} + {len(texts) - limit} more..." if len(texts) > limit else shown


def names(containers: Iterable[Any]) -> str:
    """The names of containers."""
    return ",".join(container.name for container in containers)


def images(containers: Iterable[Any]) -> str:
    """The images of containers."""
    return ",".join(container.image for container in containers)


def containers_of(read: Callable[[Any], Iterable[Any]]) -> tuple[Column, Column]:
    """The wide columns Containers and Images of a kind with a pod template; read gives its containers."""
    return (
        column("Containers", lambda obj: names(read(obj)), "Names of each container in the template.", wide=True),
        column("Images", lambda obj: images(read(obj)), "Images of each container in the template.", wide=True),
    )


def boolean_text(value: bool | None) -> str:
    """`True`, `False` or `<unset>`."""
    return UNSET if value is None else "True" if value else "False"
