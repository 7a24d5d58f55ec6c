"""What probes and lifecycle hooks have in common: where a handler points, and what became of it.

Called by `probes.py` and `hooks.py`; hands on to the runtime (exec) and to the dialer (network).
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from kijabi.api.core.container import Container
from kijabi.api.core.probe import HTTPGetAction
from kijabi.kubelet.dialer import Outcome
from kijabi.kubelet.env import expand
from kijabi.kubelet.runtime.interface import Runtime

OUTPUT_LIMIT = 10 * 1024


def port_number(port: int | str, container: Container) -> int:
    """The number of a port given by number or by a name of the container's. Raises ValueError."""
    if isinstance(port, int):
        number = port
    elif port.isdigit():
        number = int(port)
    else:
        number = next((each.containerPort for each in container.ports if each.name == port), 0)
        if not number:
            raise ValueError(f"couldn't find port: {port!r} in container {container.name!r}")
    if not 0 < number < 65536:
        raise ValueError(f"invalid port number: {number}")
    return number


def http_url(action: HTTPGetAction, container: Container, ip: str) -> str:
    """The URL that an HTTP handler asks. Raises ValueError for a bad port."""
    host = action.host or ip
    if ":" in host:
        host = f"[{host}]"
    path = action.path if action.path.startswith("/") else f"/{action.path}"
    safe = quote(path, safe="/?&=#%:;+,@!~*'()$-._")
    return f"{(action.scheme or 'HTTP').lower()}://{host}:{port_number(action.port, container)}{safe}"


def http_headers(action: HTTPGetAction) -> tuple[tuple[str, str], ...]:
    """The headers of an HTTP handler."""
    return tuple((header.name, header.value) for header in action.httpHeaders)


def static_command(command: Iterable[str], container: Container) -> tuple[str, ...]:
    """A probe's command with `$(VAR)` replaced, by the variables whose value stands in the spec."""
    values = {variable.name: variable.value for variable in container.env}
    return tuple(expand(part, values) for part in command)


async def run_command(runtime: Runtime, container_id: str, command: tuple[str, ...], timeout: float) -> Outcome:
    """Run a command in a container; exit code 0 is well. Raises RuntimeFailure or ConnectionLost.

    timeout: seconds, 0 for none.
    """
    try:
        result = await runtime.exec_sync(container_id, command, timeout)
    except TimeoutError:
        shown = " ".join(command)
        return Outcome(False, f'command timed out: "{shown}" timed out after {timeout:g}s')
    output = (result.stdout + result.stderr)[:OUTPUT_LIMIT].decode("utf-8", "replace")
    return Outcome(result.exit_code == 0, output)
