"""containerd's own API below the CRI: interactive processes in containers, process ids, and the stream of events.

The CRI's exec goes through a URL and a SPDY connection into containerd; here a process is started with named pipes that
we read and write directly, which costs less and gives stdin's half-close, the exit code and resizing as plain calls.
`cri` builds on this; messages are those of containerd's `api/services/{tasks,containers,events}/v1`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated, TypeVar, cast

from kijabi.api import protobuf
from kijabi.api.struct import Struct, Tag
from kijabi.base import rand
from kijabi.base.errors import ConnectionLost
from kijabi.kubelet.runtime import cri_convert
from kijabi.kubelet.runtime.interface import ContainerEvent, RuntimeGone
from kijabi.kubelet.runtime.rpc import Channel, RpcError

log = logging.getLogger(__name__)

_NAMESPACE = (("containerd-namespace", "k8s.io"),)
_TASKS = "containerd.services.tasks.v1.Tasks"
_PROCESS_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/Process"
_EVENTS = "containerd.services.events.v1.Events"
_HELLO = "kijabi"
HELLO_AGAIN = 0.02  # seconds until an event of ours that did not come back is sent again
SIGKILL = 9
DRAIN = 5.0  # seconds without output after a command's end until its pipes are closed (a child may hold them)
READ_LIMIT = 64 << 10  # bytes buffered for each output before the command has to wait

T = TypeVar("T", bound=Struct)

# topic → our kind of event
TOPICS = {
    "/tasks/delete": "exit",  # by the CRI, when it has taken note of an exit; `/tasks/exit` comes before
    "/tasks/oom": "oom",
    "/tasks/start": "start",
    "/containers/create": "create",
    "/containers/delete": "delete",
}


class AnyMessage(Struct):
    """google.protobuf.Any."""

    type_url: Annotated[str, Tag(1)] = ""
    value: Annotated[bytes, Tag(2)] = b""


class Nothing(Struct):
    """google.protobuf.Empty, or an answer that nobody reads."""


class Container(Struct):
    """What containerd knows of a container: its OCI specification."""

    id: Annotated[str, Tag(1)] = ""
    spec: Annotated[AnyMessage | None, Tag(5)] = None


class ContainerRequest(Struct):
    """Which container."""

    id: Annotated[str, Tag(1)] = ""


class ContainerResponse(Struct):
    """The container."""

    container: Annotated[Container | None, Tag(1)] = None


class ExecRequest(Struct):
    """A process to add to a container, with the paths of its pipes."""

    container_id: Annotated[str, Tag(1)] = ""
    stdin: Annotated[str, Tag(2)] = ""
    stdout: Annotated[str, Tag(3)] = ""
    stderr: Annotated[str, Tag(4)] = ""
    terminal: Annotated[bool, Tag(5)] = False
    spec: Annotated[AnyMessage | None, Tag(6)] = None
    exec_id: Annotated[str, Tag(7)] = ""


class ProcessRequest(Struct):
    """The Get, Start, Wait and DeleteProcess requests."""

    container_id: Annotated[str, Tag(1)] = ""
    exec_id: Annotated[str, Tag(2)] = ""


class Process(Struct):
    """A process of a container."""

    pid: Annotated[int, Tag(3)] = 0


class GetResponse(Struct):
    """The process, if it is there."""

    process: Annotated[Process | None, Tag(1)] = None


class WaitResponse(Struct):
    """How a process ended."""

    exit_status: Annotated[int, Tag(1)] = 0


class KillRequest(Struct):
    """A signal for a process."""

    container_id: Annotated[str, Tag(1)] = ""
    exec_id: Annotated[str, Tag(2)] = ""
    signal: Annotated[int, Tag(3)] = 0


class ResizeRequest(Struct):
    """A new terminal size."""

    container_id: Annotated[str, Tag(1)] = ""
    exec_id: Annotated[str, Tag(2)] = ""
    width: Annotated[int, Tag(3)] = 0
    height: Annotated[int, Tag(4)] = 0


class CloseRequest(Struct):
    """Let a process see the end of its input."""

    container_id: Annotated[str, Tag(1)] = ""
    exec_id: Annotated[str, Tag(2)] = ""
    stdin: Annotated[bool, Tag(3)] = False


class SubscribeRequest(Struct):
    """Which events."""

    filters: Annotated[tuple[str, ...], Tag(1)] = ()


class PublishRequest(Struct):
    """An event of our own."""

    topic: Annotated[str, Tag(1)] = ""
    event: Annotated[AnyMessage | None, Tag(2)] = None


class Envelope(Struct):
    """An event with its topic."""

    topic: Annotated[str, Tag(3)] = ""
    event: Annotated[AnyMessage | None, Tag(4)] = None


class AnyEvent(Struct):
    """What every task and container event begins with."""

    container_id: Annotated[str, Tag(1)] = ""


class Tasks:
    """containerd's task, container and event services for one node."""

    def __init__(self, channel: Channel, state: Path) -> None:
        self._channel = channel
        self._pipes = state / "exec"

    async def pid(self, container_id: str) -> int:
        """The process id of a container or sandbox; raises RuntimeGone when it does not run."""
        try:
            answer = await self.call("Get", ProcessRequest(container_id=container_id), GetResponse)
        except RpcError as error:
            raise cri_convert.failure("ContainerNotRunning", error.code, error.message) from error
        if not answer.process or not answer.process.pid:
            raise RuntimeGone("ContainerNotRunning", f"container {container_id} has no process")
        return answer.process.pid

    async def exec(self, container_id: str, command: tuple[str, ...], *, stdin: bool, tty: bool) -> TaskSession:
        """Start a process in a container, with the container's user, environment and limits."""
        session = TaskSession(self, container_id, self._pipes)
        try:
            await session.start(await self._process(container_id, command, tty), stdin=stdin, tty=tty)
        except RpcError as error:
            await session.close()
            raise cri_convert.failure("ExecFailed", error.code, error.message) from error
        except BaseException:
            await session.close()
            raise
        return session

    async def events(self) -> AsyncGenerator[ContainerEvent | None, None]:
        """Events from now on; the first item is None: subscribed. Raises ConnectionLost when containerd ends."""
        request = SubscribeRequest(filters=(f'namespace==k8s.io,topic~="^/(tasks|containers|{_HELLO})/"',))
        stream = self._channel.stream(f"{_EVENTS}/Subscribe", request, Envelope)
        first = asyncio.ensure_future(anext(stream))
        try:
            # Nothing says that the subscription has begun, so an event of our own must come through it.
            hello = PublishRequest(topic=f"/{_HELLO}/hello", event=AnyMessage(type_url=_HELLO))
            while not first.done():
                await self._channel.call(f"{_EVENTS}/Publish", hello, Nothing, metadata=_NAMESPACE)
                await asyncio.wait((first,), timeout=HELLO_AGAIN)
            yield None
            envelope: Envelope | None = await first
            while envelope is not None:
                event = _event(envelope)
                if event is not None:
                    yield event
                envelope = await anext(stream, None)
        finally:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            await stream.aclose()

    async def call(self, method: str, request: Struct, reply: type[T], timeout: float | None = 60.0) -> T:
        """Call the task service."""
        return await self._channel.call(f"{_TASKS}/{method}", request, reply, timeout=timeout, metadata=_NAMESPACE)

    async def _process(self, container_id: str, command: tuple[str, ...], tty: bool) -> AnyMessage:
        """The process to start: the container's own (OCI runtime specification), with another command."""
        method = "containerd.services.containers.v1.Containers/Get"
        answer = await self._channel.call(
            method, ContainerRequest(id=container_id), ContainerResponse, metadata=_NAMESPACE
        )
        if not answer.container or not answer.container.spec:
            raise RuntimeGone("ExecFailed", f"container {container_id} has no specification")
        process = json.loads(answer.container.spec.value)["process"]
        process["args"], process["terminal"] = list(command), tty
        if tty:
            process["env"] = [*process.get("env", ()), "TERM=xterm"]
        return AnyMessage(type_url=_PROCESS_TYPE, value=json.dumps(process).encode())


class TaskSession:
    """One process with its pipes; an ExecSession."""

    def __init__(self, tasks: Tasks, container_id: str, directory: Path) -> None:
        self.stdin: asyncio.StreamWriter | None = None
        self.stdout = asyncio.StreamReader(limit=READ_LIMIT)
        self.stderr: asyncio.StreamReader | None = None
        self._tasks = tasks
        self._container = container_id
        self._id = rand.uuid().replace("-", "")
        self._directory = directory / self._id
        self._transports: list[asyncio.BaseTransport] = []
        self._outputs: list[_Output] = []
        self._exit: asyncio.Task[int] | None = None
        self._stdin_closer: asyncio.Task[None] | None = None

    async def start(self, process: AnyMessage, *, stdin: bool, tty: bool) -> None:
        """Make the pipes, start the process, connect to the pipes. Raises RpcError."""
        self._directory.mkdir(parents=True)
        names = ["stdout"] if tty else ["stdout", "stderr"]
        pipes = {name: str(self._directory / name) for name in (*names, *(["stdin"] if stdin else []))}
        for path in pipes.values():
            os.mkfifo(path, 0o700)
        # Our reading ends must be open before the process can end, or its last output would be lost.
        readers = {name: os.open(pipes[name], os.O_RDONLY | os.O_NONBLOCK) for name in names}
        try:
            request = ExecRequest(container_id=self._container, exec_id=self._id, terminal=tty, spec=process, **pipes)
            await self._tasks.call("Exec", request, Nothing)
            self._exit = asyncio.get_running_loop().create_task(self._wait())
            await self._tasks.call("Start", self._request(), Nothing)
        except BaseException:
            for handle in readers.values():
                os.close(handle)
            raise
        for name, handle in readers.items():
            setattr(self, name, await self._connect_output(handle))
        if stdin:
            await self._connect_input(pipes["stdin"])

    async def resize(self, width: int, height: int) -> None:
        """Set the terminal's size; a process that has just ended does not mind."""
        size = ResizeRequest(container_id=self._container, exec_id=self._id, width=width, height=height)
        await self._quietly("ResizePty", size)

    async def wait(self) -> int:
        """The exit code, once the process has ended and its output is complete."""
        if self._exit is None:
            raise RuntimeGone("ExecFailed", "the process was never started")
        code = await asyncio.shield(self._exit)
        for output in self._outputs:
            await output.drained(DRAIN)
        return code

    async def close(self) -> None:
        """End the session, the process with it; repeatable."""
        if self._stdin_closer:
            self._stdin_closer.cancel()
            await asyncio.gather(self._stdin_closer, return_exceptions=True)
        exit, self._exit = self._exit, None
        if exit:
            if not exit.done():
                await self._quietly("Kill", self._kill_request())
                await asyncio.wait((exit,), timeout=DRAIN)
                exit.cancel()
            await asyncio.gather(exit, return_exceptions=True)
            await self._quietly("DeleteProcess", self._request())
        for transport in self._transports:
            transport.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _request(self) -> ProcessRequest:
        return ProcessRequest(container_id=self._container, exec_id=self._id)

    def _kill_request(self) -> KillRequest:
        return KillRequest(container_id=self._container, exec_id=self._id, signal=SIGKILL)

    async def _wait(self) -> int:
        answer: WaitResponse = await self._tasks.call("Wait", self._request(), WaitResponse, None)
        return answer.exit_status

    async def _connect_output(self, handle: int) -> asyncio.StreamReader:
        reader = asyncio.StreamReader(limit=READ_LIMIT)
        output = _Output(reader)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: output, os.fdopen(handle, "rb", 0))
        self._transports.append(transport)
        self._outputs.append(output)
        return reader

    async def _connect_input(self, path: str) -> None:
        loop = asyncio.get_running_loop()
        handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        protocol = _Input()
        transport, _ = await loop.connect_write_pipe(lambda: protocol, os.fdopen(handle, "wb", 0))
        self._transports.append(transport)
        self.stdin = asyncio.StreamWriter(transport, protocol, None, loop)
        self._stdin_closer = loop.create_task(self._close_stdin(protocol.closed))

    async def _close_stdin(self, closed: asyncio.Event) -> None:
        """The shim holds a writing end of its own: only when told does the process see the end of its input."""
        await closed.wait()
        await self._quietly("CloseIO", CloseRequest(container_id=self._container, exec_id=self._id, stdin=True))

    async def _quietly(self, method: str, request: Struct) -> None:
        try:
            await self._tasks.call(method, request, Nothing)
        except (RpcError, ConnectionLost, TimeoutError) as error:
            log.debug("process already gone", extra={"call": method, "error": str(error)})


class _Tap(asyncio.ReadTransport):
    """A pipe's transport that tells whether it is held back, which those of Python 3.11.2 do not."""

    def __init__(self, pipe: asyncio.ReadTransport) -> None:
        super().__init__()
        self._pipe = pipe
        self.held_back = False

    def pause_reading(self) -> None:
        self._pipe.pause_reading()
        self.held_back = True

    def resume_reading(self) -> None:
        self._pipe.resume_reading()
        self.held_back = False

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self._pipe.get_extra_info(name, default)

    def is_closing(self) -> bool:
        return self._pipe.is_closing()

    def close(self) -> None:
        self._pipe.close()


class _Output(asyncio.StreamReaderProtocol):
    """A pipe's reading side that knows when it ended or fell silent."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        super().__init__(reader)
        self.ended = asyncio.Event()
        self._moved = False
        self._pipe: _Tap | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._pipe = _Tap(cast(asyncio.ReadTransport, transport))
        super().connection_made(self._pipe)

    def data_received(self, data: bytes) -> None:
        self._moved = True
        super().data_received(data)

    def eof_received(self) -> bool:
        super().eof_received()
        self.ended.set()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.ended.set()

    async def drained(self, silence: float) -> None:
        """Wait for the end of the output, or until nothing came for `silence` seconds."""
        while not self.ended.is_set():
            self._moved = False
            try:
                async with asyncio.timeout(silence):
                    await self.ended.wait()
            except TimeoutError:
                # a reader that is held back waits for a slow client and not for the process
                if not self._moved and self._pipe and not self._pipe.held_back:
                    return


class _Input(asyncio.streams.FlowControlMixin):
    """A pipe's writing side that tells when it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = asyncio.Event()
        self._closed_future = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.closed.set()
        if not self._closed_future.done():
            self._closed_future.set_result(None)

    def _get_close_waiter(self, stream: asyncio.StreamWriter) -> asyncio.Future[None]:
        return self._closed_future


def _event(envelope: Envelope) -> ContainerEvent | None:
    kind = TOPICS.get(envelope.topic)
    if kind is None or envelope.event is None:
        return None
    subject = protobuf.decode(AnyEvent, envelope.event.value).container_id
    return ContainerEvent(kind, subject)  # type: ignore[arg-type]
