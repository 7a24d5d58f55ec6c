"""Lifecycle hooks: what a container wants done right after it started and before it is stopped.

Called by `actions.py` (postStart) and `killing.py` (preStop). Hook texts never carry output into events, since that
could show secrets.
"""

from __future__ import annotations

import asyncio

from kijabi.api.core.container import Container
from kijabi.api.core.pod import Pod
from kijabi.api.core.probe import LifecycleHandler
from kijabi.base.errors import ConnectionLost, KijabiError
from kijabi.kubelet import handlers, podspec
from kijabi.kubelet.dialer import Dialer
from kijabi.kubelet.runtime.interface import Runtime, RuntimeFailure

HTTP_TIMEOUT = 30.0


class HookFailed(KijabiError):
    """The hook did not succeed; the text says what it was and how it failed."""


class Hooks:
    """Runs the hooks of this node's containers."""

    def __init__(self, runtime: Runtime, dialer: Dialer) -> None:
        self._runtime = runtime
        self._dialer = dialer

    async def run(self, pod: Pod, container: Container, container_id: str, hook: LifecycleHandler, ip: str) -> None:
        """Run one hook to its end. ip: the pod's, for HTTP without a host. Raises HookFailed."""
        where = f'for Container "{container.name}" in Pod "{podspec.full_name(pod)}" failed - error'
        if hook.exec is not None:
            command = tuple(hook.exec.command)
            shown = f"Exec lifecycle hook ([{' '.join(command)}]) {where}"
            try:
                outcome = await handlers.run_command(self._runtime, container_id, command, 0)
            except (RuntimeFailure, ConnectionLost) as problem:
                raise HookFailed(f'{shown}: {problem}, message: ""') from problem
            if not outcome.ok:
                raise HookFailed(f"{shown}: command '{' '.join(command)}' failed, message: {outcome.text!r}")
        elif hook.httpGet is not None:
            shown = f"HTTP lifecycle hook ({hook.httpGet.path}) {where}"
            try:
                url = handlers.http_url(hook.httpGet, container, ip)
            except ValueError as problem:
                raise HookFailed(f"{shown}: {problem}") from problem
            headers = handlers.http_headers(hook.httpGet)
            outcome = await self._dialer.http(url, headers, HTTP_TIMEOUT, "lifecycle")
            # Any answer will do, as it always has: only a request that fails is a failed hook.
            if not outcome.ok and not outcome.text.startswith("HTTP probe failed with statuscode"):
                raise HookFailed(f"{shown}: {outcome.text}")
        elif hook.sleep is not None:
            await asyncio.sleep(hook.sleep.seconds)
        elif hook.tcpSocket is not None:
            raise HookFailed("Cannot run handler: invalid handler: tcpSocket is not supported in lifecycle hooks")
