"""A container runtime without containers: for simulations, hollow nodes and tests of operators.

It keeps the whole contract of `interface.Runtime` (the same `suite` runs on it and on containerd) in a few
dictionaries, without threads, files or sockets, so thousands of pods are cheap and a simulated loop replays them
exactly. How a container behaves is read off its command (`fake_shell`), or said by a `Script`: in `scripts` by
container name or image, by `choose`, or in a running cluster by the pod's annotation `fake.kijabi.dev/<container>`,
a Script in JSON.

A test may also act on it: `exit`, `oom`, `fail`, `go_down`, `come_back`.
"""

from __future__ import annotations

import asyncio
import collections
import hashlib
import ipaddress
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Literal

import msgspec

from kijabi.base import clock
from kijabi.base.errors import ConnectionLost
from kijabi.kubelet.runtime import fake_shell
from kijabi.kubelet.runtime import interface as i
from kijabi.kubelet.runtime.fake_session import AttachedSession, CommandSession, NoViews, echo_connection

log = logging.getLogger(__name__)

ANNOTATION = "fake.kijabi.dev/"
MAX_EVENTS = 4096  # not yet taken by one listener; then it gets a resync instead
SIGKILL_CODE, SIGTERM_CODE = 137, 143
IMAGE_SIZE = 10_000_000  # bytes of an image that nobody described


class Script(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How a container behaves. Times in seconds of the loop.

    run_for: until it ends with exit_code, reason and message; None: as its command says. start_error: it cannot be
    started. stop_after: how long it takes to obey SIGTERM. exec: answers to commands, by the words joined with
    blanks. ports: where it accepts connections, and echoes.
    """

    run_for: float | None = None
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    start_delay: float = 0.0
    start_error: str = ""
    stop_after: float = 0.0
    stop_code: int = SIGTERM_CODE
    exec: dict[str, tuple[int, str]] = {}
    ports: tuple[int, ...] = ()


NO_SCRIPT = Script()
Chooser = Callable[[i.SandboxConfig, i.ContainerConfig], Script | None]
Fault = Callable[[str, str], Exception | None]


class _Container:
    """One container: its configuration, what is known of it, and what it will do."""

    def __init__(self, info: i.ContainerInfo, config: i.ContainerConfig, script: Script, host: str) -> None:
        self.info = info
        self.config = config
        self.script = script
        self.outcome = fake_shell.interpret(config.command + config.args, host)
        self.ended = asyncio.Event()
        self.timer: asyncio.TimerHandle | None = None
        self.resources = config.resources


class FakeRuntime:
    """See the module. Ids are counted, so a run is repeatable.

    delay: seconds each call takes, one number or by method name. pull: seconds for an image. missing: images that
    cannot be pulled. fault: asked before each call with its method and subject; an exception it returns is raised.
    """

    def __init__(
        self,
        *,
        pod_cidr: str = "10.244.0.0/16",
        node_ip: str = "",
        scripts: Mapping[str, Script] | None = None,
        choose: Chooser | None = None,
        delay: float | Mapping[str, float] = 0.0,
        pull: float = 0.0,
        missing: set[str] | None = None,
    ) -> None:
        self.views = NoViews()
        self.scripts = dict(scripts or {})
        self.choose = choose
        self.delay = delay
        self.pull = pull
        self.missing = missing if missing is not None else set()
        self.fault: Fault | None = None
        self.images: dict[str, i.Image] = {}
        self.pulls: list[str] = []
        self._node_ip = node_ip
        self._fresh_ips = map(str, itertools.islice(ipaddress.ip_network(pod_cidr).hosts(), 1, None))
        self._free_ips: collections.deque[str] = collections.deque()
        self._sandboxes: dict[str, i.Sandbox] = {}
        self._hosts: dict[str, str] = {}
        self._containers: dict[str, _Container] = {}
        self._members: dict[str, list[str]] = {}
        self._numbers = itertools.count(1)
        self._listeners: list[asyncio.Queue[i.ContainerEvent]] = []
        self._down = ""

    # What a test may do to it

    def exit(self, container_id: str, code: int = 0, *, reason: str = "", message: str = "") -> None:
        """End a running container now."""
        self._end(self._containers[container_id], code, reason, message)

    def oom(self, container_id: str) -> None:
        """Kill a running container for its memory."""
        self._tell("oom", container_id)
        self._end(self._containers[container_id], SIGKILL_CODE, "OOMKilled", "")

    def find(self, pod: str, container: str, namespace: str = "") -> str:
        """The id of a pod's newest container of that name; raises KeyError."""
        for found in reversed(self._containers.values()):
            box = self._sandboxes.get(found.info.sandbox_id)
            if box and (box.name, found.info.name) == (pod, container) and namespace in ("", box.namespace):
                return found.info.id
        raise KeyError(f"{namespace}/{pod}/{container}")

    def alive(self, uid: str = "") -> list[str]:
        """The ids of the containers that run, of all pods or of one."""
        running = (c.info for c in self._containers.values() if c.info.state == "running")
        return [info.id for info in running if uid in ("", self._sandboxes[info.sandbox_id].uid)]

    def pods(self) -> list[str]:
        """The uids of the pods of which there is a sandbox."""
        return list(dict.fromkeys(box.uid for box in self._sandboxes.values()))

    def go_down(self, why: str = "the runtime was stopped by a test") -> None:
        """Answer nobody, as a crashed containerd: containers go on."""
        self._down = why

    def come_back(self) -> None:
        """Answer again; listeners get a resync."""
        self._down = ""
        self._tell("resync", "")

    # Runtime

    async def info(self) -> i.RuntimeInfo:
        """See interface.Runtime."""
        await self._call("info")
        return i.RuntimeInfo(name="fake", version="1.0")

    async def events(self) -> AsyncIterator[i.ContainerEvent]:
        """See interface.Runtime."""
        queue: asyncio.Queue[i.ContainerEvent] = asyncio.Queue(MAX_EVENTS)
        self._listeners.append(queue)
        try:
            yield i.ContainerEvent("resync")
            while True:
                yield await queue.get()
        finally:
            self._listeners.remove(queue)

    async def run_sandbox(self, config: i.SandboxConfig) -> str:
        """See interface.Runtime."""
        await self._call("run_sandbox", config.name)
        sandbox_id = self._id()
        self._sandboxes[sandbox_id] = i.Sandbox(
            id=sandbox_id,
            name=config.name,
            namespace=config.namespace,
            uid=config.uid,
            attempt=config.attempt,
            ready=True,
            created_at=clock.wall(),
            ips=() if config.host_network else (self._ip(),),
            host_network=config.host_network,
            labels=dict(config.labels),
            annotations=dict(config.annotations),
        )
        self._members[sandbox_id] = []
        self._hosts[sandbox_id] = config.hostname or config.name
        self._tell("create", sandbox_id)
        return sandbox_id

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """See interface.Runtime."""
        await self._call("stop_sandbox", sandbox_id)
        self._stop_sandbox(sandbox_id)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """See interface.Runtime."""
        await self._call("remove_sandbox", sandbox_id)
        self._stop_sandbox(sandbox_id)
        for container_id in self._members.pop(sandbox_id, ()):
            self._remove(container_id)
        self._hosts.pop(sandbox_id, None)
        if self._sandboxes.pop(sandbox_id, None):
            self._tell("delete", sandbox_id)

    async def list_sandboxes(self) -> tuple[i.Sandbox, ...]:
        """See interface.Runtime."""
        await self._call("list_sandboxes")
        return tuple(self._sandboxes.values())

    async def sandbox_status(self, sandbox_id: str) -> i.Sandbox:
        """See interface.Runtime."""
        await self._call("sandbox_status", sandbox_id)
        return self._sandbox(sandbox_id)

    async def create_container(self, sandbox_id: str, config: i.ContainerConfig, sandbox: i.SandboxConfig) -> str:
        """See interface.Runtime."""
        await self._call("create_container", config.name)
        self._sandbox(sandbox_id)
        image = self._image(config.image_ref or config.image)
        if image is None:
            raise i.RuntimeGone("CreateContainerError", f'failed to get image "{config.image}": not found')
        info = i.ContainerInfo(
            id=self._id(),
            sandbox_id=sandbox_id,
            name=config.name,
            attempt=config.attempt,
            state="created",
            image=config.image,
            image_ref=image.id,
            created_at=clock.wall(),
            log_path=f"{sandbox.log_directory}/{config.log_path}" if config.log_path else "",
            labels=dict(config.labels),
            annotations=dict(config.annotations),
        )
        script = self._script(sandbox, config)
        self._containers[info.id] = _Container(info, config, script, self._hosts[sandbox_id])
        self._members[sandbox_id].append(info.id)
        self._tell("create", info.id)
        return info.id

    async def start_container(self, container_id: str) -> None:
        """See interface.Runtime."""
        await self._call("start_container", container_id)
        found = self._container(container_id)
        if found.info.state != "created":
            raise i.RuntimeFailure("RunContainerError", f"container is in {found.info.state.upper()} state")
        if found.script.start_delay:
            await asyncio.sleep(found.script.start_delay)
        if found.script.start_error:
            self._end(found, 128, "StartError", found.script.start_error)
            raise i.RuntimeFailure("RunContainerError", found.script.start_error)
        self._set(found, state="running", started_at=clock.wall())
        self._tell("start", container_id)
        seconds, code = found.script.run_for, found.script.exit_code
        if seconds is None and not found.outcome.echo:
            seconds, code = found.outcome.seconds, found.outcome.code
        if seconds is not None:
            end = (found, code, found.script.reason, found.script.message)
            found.timer = asyncio.get_running_loop().call_later(seconds, self._end, *end)

    async def stop_container(self, container_id: str, grace: int) -> None:
        """See interface.Runtime."""
        await self._call("stop_container", container_id)
        found = self._containers.get(container_id)
        if found is None or found.info.state != "running":
            return
        obeys = found.script.stop_after <= grace
        try:
            async with asyncio.timeout(found.script.stop_after if obeys else grace):
                await found.ended.wait()
        except TimeoutError:
            self._end(found, found.script.stop_code if obeys and grace else SIGKILL_CODE, "", "")

    async def remove_container(self, container_id: str) -> None:
        """See interface.Runtime."""
        await self._call("remove_container", container_id)
        found = self._containers.get(container_id)
        if found:
            self._members[found.info.sandbox_id].remove(container_id)
            self._remove(container_id)

    async def list_containers(self) -> tuple[i.ContainerInfo, ...]:
        """See interface.Runtime."""
        await self._call("list_containers")
        return tuple(found.info for found in self._containers.values())

    async def container_status(self, container_id: str) -> i.ContainerInfo:
        """See interface.Runtime."""
        await self._call("container_status", container_id)
        return self._container(container_id).info

    async def update_resources(self, container_id: str, resources: i.Resources) -> None:
        """See interface.Runtime."""
        await self._call("update_resources", container_id)
        self._container(container_id).resources = resources

    def resources(self, container_id: str) -> i.Resources:
        """The limits a container has now."""
        return self._container(container_id).resources

    async def reopen_log(self, container_id: str) -> None:
        """See interface.Runtime; there are no logs."""
        await self._call("reopen_log", container_id)
        self._running(container_id)

    async def exec_sync(self, container_id: str, command: tuple[str, ...], timeout: float) -> i.ExecResult:
        """See interface.Runtime."""
        await self._call("exec_sync", container_id)
        session = self._exec(container_id, command)
        session.stdin.write_eof()
        try:
            async with asyncio.timeout(timeout or None):
                code = await session.wait()
                return i.ExecResult(code, await session.stdout.read(), await session.stderr.read())
        finally:
            await session.close()

    async def exec(self, container_id: str, command: tuple[str, ...], *, stdin: bool, tty: bool) -> i.ExecSession:
        """See interface.Runtime."""
        await self._call("exec", container_id)
        session = self._exec(container_id, command)
        if not stdin:
            session.stdin.write_eof()
        return session

    async def attach(self, container_id: str, *, stdin: bool, tty: bool) -> i.ExecSession:
        """See interface.Runtime."""
        await self._call("attach", container_id)
        return AttachedSession(self._running(container_id).ended, stdin=stdin)

    async def connect(self, sandbox_id: str, port: int) -> tuple[i.ByteReader, i.ByteWriter]:
        """See interface.Runtime; an open port echoes."""
        await self._call("connect", sandbox_id)
        self._sandbox(sandbox_id)
        running = (self._containers[c] for c in self._members[sandbox_id])
        if not any(port in c.script.ports for c in running if c.info.state == "running"):
            raise ConnectionRefusedError(f"failed to connect to localhost:{port}: connection refused")
        return echo_connection()

    async def pull_image(self, image: str, auth: i.ImageAuth | None = None) -> str:
        """See interface.Runtime."""
        await self._call("pull_image", image)
        if self.pull:
            await asyncio.sleep(self.pull)
        if not image or image != image.lower() or " " in image:
            text = f'couldn\'t parse image name "{image}": invalid reference format'
            raise i.RuntimeFailure("InvalidImageName", text)
        if image in self.missing:
            text = f'failed to resolve reference "{image}": {image}: not found'
            raise i.RuntimeFailure("ErrImagePull", f'failed to pull and unpack image "{image}": {text}')
        self.pulls.append(image)
        return self.add_image(image).id

    def add_image(self, name: str, size: int = IMAGE_SIZE) -> i.Image:
        """Have an image without pulling it."""
        image = i.Image(id="sha256:" + hashlib.sha256(name.encode()).hexdigest(), tags=(name,), size=size)
        self.images[image.id] = image
        return image

    async def image_status(self, image: str) -> i.Image | None:
        """See interface.Runtime."""
        await self._call("image_status", image)
        return self._image(image)

    async def list_images(self) -> tuple[i.Image, ...]:
        """See interface.Runtime."""
        await self._call("list_images")
        return tuple(self.images.values())

    async def remove_image(self, image_id: str) -> None:
        """See interface.Runtime."""
        await self._call("remove_image", image_id)
        found = self._image(image_id)
        if found:
            del self.images[found.id]

    async def usage(self) -> tuple[i.ContainerUsage, ...]:
        """See interface.Runtime; a running container uses nothing."""
        await self._call("usage")
        running = (c.info.id for c in self._containers.values() if c.info.state == "running")
        return tuple(i.ContainerUsage(id=container_id) for container_id in running)

    async def image_fs(self) -> i.FsUsage:
        """See interface.Runtime."""
        await self._call("image_fs")
        return i.FsUsage(mountpoint="/fake", used_bytes=sum(image.size for image in self.images.values()))

    async def close(self) -> None:
        """See interface.Runtime; containers go on."""

    # Inside

    async def _call(self, method: str, subject: str = "") -> None:
        """What comes before every call: a planned failure, a planned delay."""
        delay = self.delay if isinstance(self.delay, float | int) else self.delay.get(method, 0.0)
        if delay:
            await asyncio.sleep(delay)
        if self._down:
            raise ConnectionLost(self._down)
        failure = self.fault(method, subject) if self.fault else None
        if failure:
            raise failure

    def _id(self) -> str:
        return f"{next(self._numbers):064x}"

    def _ip(self) -> str:
        if self._free_ips:
            return self._free_ips.popleft()
        fresh = next(self._fresh_ips, None)
        if fresh is None:
            raise i.RuntimeFailure("CreatePodSandboxError", "no IP addresses available in range set")
        return fresh

    def _script(self, sandbox: i.SandboxConfig, config: i.ContainerConfig) -> Script:
        text = sandbox.annotations.get(ANNOTATION + config.name)
        if text:
            try:
                return msgspec.json.decode(text, type=Script)
            except msgspec.DecodeError as error:
                problem = f"annotation {ANNOTATION}{config.name}: {error}"
                raise i.RuntimeFailure("CreateContainerConfigError", problem) from error
        chosen = self.choose(sandbox, config) if self.choose else None
        return chosen or self.scripts.get(config.name) or self.scripts.get(config.image) or NO_SCRIPT

    def _sandbox(self, sandbox_id: str) -> i.Sandbox:
        found = self._sandboxes.get(sandbox_id)
        if found is None:
            raise i.RuntimeGone("NotFound", f'sandbox "{sandbox_id}" not found')
        return found

    def _container(self, container_id: str) -> _Container:
        found = self._containers.get(container_id)
        if found is None:
            raise i.RuntimeGone("NotFound", f'container "{container_id}" not found')
        return found

    def _running(self, container_id: str) -> _Container:
        found = self._container(container_id)
        if found.info.state != "running":
            raise i.RuntimeFailure("ExecFailed", f"container is in CONTAINER_{found.info.state.upper()} state")
        return found

    def _image(self, name: str) -> i.Image | None:
        found = self.images.get(name)
        return found or next((image for image in self.images.values() if name in image.tags), None)

    def _exec(self, container_id: str, command: tuple[str, ...]) -> CommandSession:
        found = self._running(container_id)
        scripted = found.script.exec.get(" ".join(command))
        if scripted:
            outcome = fake_shell.Outcome(code=scripted[0], stdout=scripted[1])
        else:
            outcome = fake_shell.interpret(command, self._hosts.get(found.info.sandbox_id, ""))
        return CommandSession(outcome, found.ended)

    def _set(self, found: _Container, **changes: Any) -> None:
        found.info = msgspec.structs.replace(found.info, **changes)

    def _end(self, found: _Container, code: int, reason: str, message: str) -> None:
        """A container ends; nothing to do if it has already."""
        if found.info.state == "exited" or found.info.id not in self._containers:
            return
        if found.timer:
            found.timer.cancel()
        reason = reason or ("Completed" if code == 0 else "Error")
        self._set(found, state="exited", exit_code=code, finished_at=clock.wall(), reason=reason, message=message)
        found.ended.set()
        self._tell("exit", found.info.id)

    def _stop_sandbox(self, sandbox_id: str) -> None:
        box = self._sandboxes.get(sandbox_id)
        if box is None or not box.ready:
            return
        for container_id in self._members[sandbox_id]:
            found = self._containers[container_id]
            if found.info.state == "running":
                self._end(found, SIGKILL_CODE, "", "")
        self._free_ips.extend(box.ips)
        self._sandboxes[sandbox_id] = msgspec.structs.replace(box, ready=False, ips=())
        self._tell("exit", sandbox_id)

    def _remove(self, container_id: str) -> None:
        found = self._containers[container_id]
        if found.info.state == "running":
            self._end(found, SIGKILL_CODE, "", "")
        del self._containers[container_id]
        self._tell("delete", container_id)

    def _tell(self, kind: Literal["exit", "oom", "start", "create", "delete", "resync"], subject: str) -> None:
        for queue in self._listeners:
            if queue.full():
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(i.ContainerEvent("resync"))
            queue.put_nowait(i.ContainerEvent(kind, subject))
