"""Which devices a CEL expression picks: `device.attributes["gpu.example.com"].model == "A100"`.

Rules compile what clients write; an allocator matches devices with it. An attribute or capacity without a domain is of
the driver's own; a domain that a device does not have is an empty map, so that expressions may ask for it. Source:
resource.k8s.io/v1 CELDeviceSelector; k8s.io/dynamic-resource-allocation `cel`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from kijabi.api.dra.resourceslice import Device, DeviceAttribute

if TYPE_CHECKING:
    from kijabi.api.cel.environment import Environment, Program

MOST_COST = 1_000_000
"""What an expression may cost for one device, at worst and when it runs."""
LONGEST = 10 * 1024
_HELD = 1000  # compiled expressions


class Unfit(ValueError):
    """The expression is no selector; the text says why."""


class _Domains(dict[str, Any]):
    """Values by domain; one that nobody named is empty."""

    def get(self, key: str, default: Any = None) -> Any:
        """The values of a domain."""
        return super().get(key, {})


@cache
def _environment() -> Environment:
    from kijabi.api.cel import types
    from kijabi.api.cel.environment import Environment
    from kijabi.api.cel.functions import NAMED
    from kijabi.api.cel.macros import BINDINGS

    def by_domain(value: types.Type) -> types.Type:
        return types.map_of(types.STRING, types.map_of(types.STRING, value))

    fields = {
        "driver": types.STRING,
        "allowMultipleAllocations": types.BOOL,
        "attributes": by_domain(types.ANY),
        "capacity": by_domain(NAMED["Quantity"]),
    }
    return Environment({"device": types.declare("kubernetes.DRADevice", fields)}, macros=BINDINGS)


@lru_cache(maxsize=_HELD)
def compiled(expression: str) -> Program:
    """The program of an expression. Raises Unfit."""
    from kijabi.api.cel import types
    from kijabi.api.cel.errors import CelCompileError

    try:
        program = _environment().compile(expression)
    except CelCompileError as error:
        raise Unfit(f"compilation failed: {error}") from None
    if program.result not in (types.BOOL, types.ANY):
        raise Unfit(f"must evaluate to bool or the unknown type, not {types.full_name(program.result)}")
    return program


def matches(expression: str, driver: str, device: Device) -> bool:
    """Whether an expression picks a device. Raises CelError where the device has not what it asks for; Unfit."""
    from kijabi.api.cel.environment import Budget
    from kijabi.api.cel.errors import CelError

    found = compiled(expression).evaluate({"device": seen(driver, device)}, Budget(MOST_COST), limit=MOST_COST)
    if not isinstance(found, bool):
        raise CelError("CEL native result value should have been a bool")
    return found


def seen(driver: str, device: Device) -> dict[str, Any]:
    """A device as expressions see it. Raises CelError for a version that cannot be read."""
    from kijabi.api.cel.overloads.quantities import QuantityValue

    capacity = {name: QuantityValue(one.value, whole=False) for name, one in device.capacity.items()}
    return {
        "driver": driver,
        "allowMultipleAllocations": bool(device.allowMultipleAllocations),
        "attributes": _domains(driver, {name: value_of(one) for name, one in device.attributes.items()}),
        "capacity": _domains(driver, capacity),
    }


def value_of(attribute: DeviceAttribute) -> Any:
    """The one value that an attribute has, as the language knows it."""
    from kijabi.api.cel.overloads.semvers import parsed

    for found in (attribute.int_, attribute.bool_, attribute.string):
        if found is not None:
            return found
    if attribute.version is not None:
        return parsed(attribute.version)
    versions = [parsed(one) for one in attribute.versions]
    return list(attribute.ints or attribute.bools or attribute.strings or versions)


def qualified(name: str, driver: str) -> tuple[str, str]:
    """Domain and name of an attribute or capacity."""
    domain, slash, rest = name.partition("/")
    return (domain, rest) if slash else (driver, name)


def _domains(driver: str, values: Mapping[str, Any]) -> _Domains:
    found = _Domains()
    for name, value in values.items():
        domain, rest = qualified(name, driver)
        found.setdefault(domain, {})[rest] = value
    return found
