"""What a ControllerRevision keeps."""

from __future__ import annotations

from kijabi.api import codec
from kijabi.api.core.podtemplate import PodTemplateSpec
from kijabi.controllers.revisions import data_of


def test_a_template_is_kept_as_go_writes_it() -> None:
    """Keys sorted, `<`, `>` and `&` escaped: kubectl and the conformance tests compare bytes."""
    template = codec.decode(
        PodTemplateSpec,
        b'{"metadata":{"labels":{"b":"1","a":"2"}},"spec":{"containers":[{"name":"c","image":"i","args":["a<b&c"]}]}}',
    )
    assert bytes(data_of(template)).decode() == (
        '{"spec":{"template":{"$patch":"replace","metadata":{"labels":{"a":"2","b":"1"}},'
        '"spec":{"containers":[{"args":["a\\u003cb\\u0026c"],"image":"i","name":"c","resources":{}}]}}}}'
    )
