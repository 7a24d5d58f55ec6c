"""Every resource's rules on an empty object: none may fail, and each kind keeps its own promises."""

import pytest

from kijabi.api import codec
from kijabi.api.catalog import RESOURCES
from kijabi.api.resource import Resource

KINDS = [pytest.param(each, id=f"{each.qualified}") for each in RESOURCES]


@pytest.mark.parametrize("resource", KINDS)
def test_rules_take_an_empty_object(resource: Resource) -> None:
    obj = resource.type()
    resource.defaults(obj)
    if resource.prepare is not None:
        resource.prepare(obj, None)
        resource.prepare(obj, codec.clone(obj))
    resource.validate(obj)
    resource.validate_update(obj, codec.clone(obj))
    resource.validate_status(obj, codec.clone(obj))
    resource.warnings(obj)
    for column in resource.columns:
        assert isinstance(column.cell(obj), str | int | bool), column.name
    for label, read in resource.fields:
        assert isinstance(read(obj), str), label


@pytest.mark.parametrize("resource", KINDS)
def test_defaults_twice_are_defaults_once(resource: Resource) -> None:
    obj = resource.type()
    resource.defaults(obj)
    once = codec.encode(obj)
    resource.defaults(obj)
    assert codec.encode(obj) == once


@pytest.mark.parametrize("resource", KINDS)
def test_views_go_there_and_back(resource: Resource) -> None:
    if resource.up is None or resource.down is None:
        assert resource.stored_as is None or resource.down is None
        return
    obj = resource.down(resource.up(resource.type()))  # the way may set a default
    assert resource.down(resource.up(obj)) == obj
