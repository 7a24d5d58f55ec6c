"""Builds the authorizers that the configuration names, and builds them anew when its file changes.

`app.py` makes one `Modes`; its `authorizer` is what the server asks. Modes other than Webhook must stay as they
are while the server runs. Source: k8s.io/kubernetes `pkg/kubeapiserver/authorizer`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kijabi.apiserver.attributes import Authorizer, Reader
from kijabi.apiserver.authz import config
from kijabi.apiserver.authz.node import Graph, NodeAuthorizer
from kijabi.apiserver.authz.rbac import Rbac
from kijabi.apiserver.authz.union import AlwaysAllow, AlwaysDeny, Union
from kijabi.apiserver.flags import Flags
from kijabi.apiserver.storage import Storage
from kijabi.base.errors import ConfigError
from kijabi.base.filewatch import follow

if TYPE_CHECKING:
    from kijabi.apiserver.authz.webhook import WebhookAuthorizer

log = logging.getLogger(__name__)


class Modes:
    """The authorizers of some flags. rbac: shared with what checks grants, whether or not it decides here.

    Raises ConfigError for flags or a file that cannot be used.
    """

    def __init__(self, flags: Flags, reader: Reader, rbac: Rbac) -> None:
        self._path = flags.authorization_config
        self._content = self._path.read_bytes() if self._path is not None else b""
        configuration = config.of_flags(flags)
        self._hooks: list[WebhookAuthorizer] = []
        self._kept = {
            each.type: _kept(each.type, flags, reader, rbac)
            for each in configuration.authorizers
            if each.type != "Webhook"
        }
        self.authorizer = Union(self._built(configuration))

    @property
    def everybody(self) -> bool:
        """Whether everything is allowed, so that nobody should come without a name."""
        return "AlwaysAllow" in self._kept

    async def run(self, _: Storage | None = None) -> None:
        """Take up the file's changes, for ever; without a file there is nothing to do."""
        if self._path is not None:
            await follow(self._path, self._content, self._changed)

    async def _changed(self, content: bytes) -> bool:
        """A content that cannot be used leaves everything as it was."""
        old = self._hooks
        try:
            self.authorizer.replace(self._built(config.of_file(content, self._kept)))
        except ConfigError as error:
            log.error("authorization configuration not reloaded", extra={"reason": str(error)})
            return True
        for hook in old:
            hook.close()
        log.info("authorization configuration reloaded", extra={"path": str(self._path)})
        return True

    def _built(self, configuration: config.AuthorizationConfiguration) -> list[Authorizer]:
        authorizers: list[Authorizer] = []
        hooks: list[WebhookAuthorizer] = []
        for each in configuration.authorizers:
            if each.webhook is None:
                authorizer = self._kept.get(each.type)
                if authorizer is None:
                    text = f"authorizer type {each.type} is not allowed if it was not enabled at initial server startup"
                    raise ConfigError(text)
                authorizers.append(authorizer)
                continue
            from kijabi.apiserver.authz.webhook import WebhookAuthorizer  # few clusters have one

            hooks.append(WebhookAuthorizer(each.name, each.webhook))
            authorizers.append(hooks[-1])
        self._hooks = hooks
        return authorizers


def _kept(mode: str, flags: Flags, reader: Reader, rbac: Rbac) -> Authorizer:
    """The authorizer of a mode that is made once."""
    match mode:
        case "Node":
            graph = Graph()
            graph.start(reader)
            return NodeAuthorizer(graph)
        case "RBAC":
            return rbac
        case "ABAC":
            from kijabi.apiserver.authz.abac import Policies

            assert flags.authorization_policy_file is not None  # config.py has seen to it
            return Policies.from_file(flags.authorization_policy_file)
        case "AlwaysAllow":
            return AlwaysAllow()
        case _:
            return AlwaysDeny()
