"""GET componentstatuses: the old health page of the control plane, which `kubectl get cs` still shows.

Objects are made up on each request from the server's own checks; nothing is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kijabi.api import codec, status
from kijabi.api.core.componentstatus import ComponentCondition, ComponentStatus
from kijabi.api.meta import ObjectMeta
from kijabi.apiserver import options, watch
from kijabi.apiserver.call import Call, encoded
from kijabi.apiserver.forms import Computed, assemble, pick
from kijabi.apiserver.watchcache import Cache, Item
from kijabi.client.transport import Response


class Components:
    """The handler. checks: what is wrong with each component, or an empty text."""

    def __init__(self, checks: Mapping[str, Callable[[], str]]) -> None:
        self.checks = dict(checks)

    async def handle(self, call: Call) -> Response:
        """Get or list. Raises NotFound."""
        resource = call.resource
        form = pick(resource, Computed(resource), call.media, call.request.param("includeObject"))
        if call.info.verb == "get":
            if call.info.name not in self.checks:
                raise status.not_found(resource, call.info.name)
            return encoded(call.media, form.object(self._item(call.info.name), 0))
        wanted = options.list_options(call.request, call.info)
        selection = watch.Selection(resource, Cache(resource), "", wanted.labels, wanted.fields)
        items = [item for item in map(self._item, self.checks) if selection.matches(item)]
        return encoded(call.media, assemble(form, items, {}))

    def _item(self, name: str) -> Item:
        wrong = self.checks[name]()
        condition = ComponentCondition(type="Healthy", status="False" if wrong else "True", message=wrong or "ok")
        obj = ComponentStatus(metadata=ObjectMeta(name=name), conditions=(condition,))
        obj.kind, obj.apiVersion = "ComponentStatus", "v1"
        return Item(name, "", name, obj, codec.encode(obj), 0)
