"""`metadata.managedFields`: who manages which fields, as a table of managers, read from and written to its JSON.

The API server keeps the list raw in an object (`api/meta.py`) and calls `stored` or `sent` when a write needs it;
`updater.py` computes with the table; `write` gives the list again, sorted. Format of k8s.io/apimachinery
`pkg/util/managedfields` (KEP-555).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from kijabi.api import codec
from kijabi.api.apply import fieldset
from kijabi.api.apply.fieldset import Path, Tree
from kijabi.api.gotext import quote
from kijabi.api.meta import ManagedFieldsEntry, Time
from kijabi.api.struct import NO_JSON
from kijabi.base.errors import BadRequest

APPLY, UPDATE = "Apply", "Update"
FIELDS_TYPE = "FieldsV1"
UNKNOWN = "unknown"  # who gives no name
MAX_NAME = 128  # bytes of a manager's name
MAX_UPDATERS = 10  # entries of updates; older ones become one for each version
ANCIENT = "ancient-changes"
BEFORE_APPLY = "before-first-apply"


class Manager(NamedTuple):
    """Who an entry belongs to. version is empty for those that apply: they have one entry, of whatever version."""

    name: str
    operation: str
    version: str
    subresource: str

    def __str__(self) -> str:
        text = quote(self.name)
        if self.subresource:
            text += f" with subresource {quote(self.subresource)}"
        return f"{text} using {self.version}" if self.operation == UPDATE else text


class Entry:
    """What a manager owns, in which version of the object. The fields are read when somebody asks."""

    __slots__ = ("_raw", "_tree", "applied", "time", "version")

    def __init__(
        self, version: str, applied: bool, fields: Tree | None, time: Time | None = None, raw: msgspec.Raw = NO_JSON
    ) -> None:
        self.version = version
        self.applied = applied
        self.time = time
        self._tree = fields
        self._raw = raw

    @property
    def fields(self) -> Tree:
        """The set of fields."""
        if self._tree is None:
            self._tree = fieldset.decode(self._raw) if self._raw else {}
        return self._tree

    def with_fields(self, fields: Tree) -> Entry:
        """The same with other fields."""
        return Entry(self.version, self.applied, fields, self.time)

    def may_touch(self, steps: Iterable[bytes]) -> bool:
        """Whether fields below one of these top-level steps can be among its own; False is certain."""
        raw = bytes(self._raw)
        return not raw or any(step in raw for step in steps)

    def at(self, time: Time) -> Entry:
        """The same, written anew."""
        return Entry(self.version, self.applied, self._tree, time, self._raw)

    def raw(self) -> msgspec.Raw:
        """Its FieldsV1."""
        return self._raw or msgspec.Raw(fieldset.encode(self.fields))


Managed = dict[Manager, Entry]


def _moment(cls: Any, value: Any) -> Any:
    return cls.parse(value)


# Their FieldsV1 are parts of the list's bytes: the table does not outlive the write that it is read for.
_decode = msgspec.json.Decoder(tuple[ManagedFieldsEntry, ...], dec_hook=_moment).decode


def manager(name: str, operation: str, version: str, subresource: str) -> Manager:
    """The manager that a write is of."""
    return Manager(name or UNKNOWN, operation, "" if operation == APPLY else version, subresource)


def name_of(field_manager: str, user_agent: str) -> str:
    """What a writer calls itself: the option `fieldManager`, else what its User-Agent begins with."""
    if field_manager:
        return field_manager
    name = "".join(char for char in user_agent.partition("/")[0] if char.isprintable())
    while len(name.encode()) > MAX_NAME:
        name = name[:-1]
    return name


def stored(raw: msgspec.Raw) -> Managed:
    """The table of an object in the store; none at all if the list cannot be read."""
    managed: Managed = {}
    if raw is NO_JSON:
        return managed
    try:
        entries = _decode(raw)
    except msgspec.MsgspecError:
        return managed
    for entry in entries:
        applied, version = entry.operation == APPLY, entry.apiVersion
        who = Manager(entry.manager, entry.operation, "" if applied else version, entry.subresource)
        managed[who] = Entry(version, applied, None, entry.time, entry.fieldsV1)
    return managed


def sent(raw: msgspec.Raw) -> Managed:
    """The table that a client sends with an object, checked. Raises ValueError with what is wrong."""
    managed: Managed = {}
    try:
        entries = codec.parse_managed(raw)
    except BadRequest as problem:
        raise ValueError(problem.message) from None
    for index, entry in enumerate(entries):
        if entry.operation not in (APPLY, UPDATE):
            raise ValueError("operation must be `Apply` or `Update`")
        if not entry.apiVersion:
            raise ValueError("apiVersion must not be empty")
        if not entry.fieldsType:
            raise ValueError(f"missing fieldsType in managed fields entry {index}")
        if entry.fieldsType != FIELDS_TYPE:
            raise ValueError(f"invalid fieldsType {quote(entry.fieldsType)} in managed fields entry {index}")
        try:
            fields = fieldset.read(entry.fieldsV1) if entry.fieldsV1 else {}
        except (ValueError, BadRequest) as problem:
            raise ValueError(f"error decoding versioned set from {entry.manager}: {problem}") from None
        applied = entry.operation == APPLY
        who = Manager(entry.manager, entry.operation, "" if applied else entry.apiVersion, entry.subresource)
        managed[who] = Entry(entry.apiVersion, applied, fields, entry.time)
    return managed


def is_reset(raw: msgspec.Raw) -> bool:
    """Whether a client asks to forget who manages what: `[]`, or one empty entry."""
    if raw is NO_JSON:
        return False
    try:
        entries = codec.parse_managed(raw)
    except BadRequest:
        return False
    return not entries or (len(entries) == 1 and entries[0] == ManagedFieldsEntry())


def write(managed: Mapping[Manager, Entry]) -> msgspec.Raw:
    """The list as it stands in an object: appliers first, then by time, name and version."""
    entries = [
        ManagedFieldsEntry(
            manager=who.name, operation=who.operation, apiVersion=entry.version, time=entry.time,
            fieldsType=FIELDS_TYPE, fieldsV1=entry.raw(), subresource=who.subresource,
        )
        for who, entry in managed.items()
    ]  # fmt: skip
    if len(entries) > 1:
        entries.sort(key=_place)
    return codec.write_managed(entries)


def _place(entry: ManagedFieldsEntry) -> tuple[str, str, str, str, str]:
    return (entry.operation, entry.time or "", entry.manager, entry.apiVersion, entry.subresource)


def same_but_times(left: msgspec.Raw, right: msgspec.Raw) -> bool:
    """Whether two lists differ in when things were written, and in nothing else."""
    mine, yours = codec.parse_managed(left), codec.parse_managed(right)
    if len(mine) != len(yours):
        return False
    for entry in (*mine, *yours):
        entry.time = None
    return mine == yours


def capped(managed: Managed) -> Managed:
    """With no more than MAX_UPDATERS entries of updates: the oldest are put together, one for each version."""
    updaters = sorted(
        (who for who, entry in managed.items() if not entry.applied),
        key=lambda who: (managed[who].time or "", who.name, who.version, who.subresource),
    )
    count = len(updaters)
    if count <= MAX_UPDATERS:
        return managed
    out = dict(managed)
    first: dict[str, Manager] = {}
    for who in updaters:
        if count <= MAX_UPDATERS:
            break
        entry = out[who]
        bucket = Manager(ANCIENT, UPDATE, entry.version, "")
        if entry.version not in first:
            first[entry.version] = who
            continue
        if bucket not in out:
            out[bucket] = out.pop(first[entry.version])
        merged = fieldset.union(entry.fields, out[bucket].fields)
        if who != bucket:
            del out[who]
        out[bucket] = Entry(entry.version, False, merged, entry.time)
        count -= 1
    return out


class Conflict(NamedTuple):
    """A field that an apply would change, and who owns it."""

    manager: Manager
    path: Path


class Conflicts(Exception):
    """An apply would change what others own."""

    def __init__(self, found: Iterable[Conflict]) -> None:
        self.found = tuple(sorted(found, key=lambda each: each.manager))
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The text of the error."""
        if len(self.found) == 1:
            one = self.found[0]
            return f"Apply failed with 1 conflict: conflict with {one.manager}: {fieldset.shown(one.path)}"
        lines: list[str] = []
        for who in dict.fromkeys(each.manager for each in self.found):
            lines.append(f"conflicts with {who}:")
            lines.extend(f"- {fieldset.shown(each.path)}" for each in self.found if each.manager == who)
        return f"Apply failed with {len(self.found)} conflicts: " + "\n".join(lines)

    def causes(self) -> list[dict[str, str]]:
        """Its causes, as a Status lists them."""
        return [
            {
                "reason": "FieldManagerConflict",
                "message": f"conflict with {each.manager}",
                "field": fieldset.shown(each.path),
            }
            for each in self.found
        ]
