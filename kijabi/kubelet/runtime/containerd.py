"""A node's own containerd: its configuration, its process, and everything it leaves on the machine.

The node agent calls `start` (or finds the one that still runs), `supervise` in a task, and `destroy` at the very end.
containerd runs in a private mount namespace, kept alive by a file, so that container file systems and the changes made
for crun stay invisible to the machine, and so that a new containerd after a crash finds the mounts of the old one.

    DIR/nodes/<node>/containerd/root    images and snapshots, survives a reboot
    <state>/containerd.sock             its socket; tasks, shims and network namespaces beside it
    <state>/ns/mnt                      the mount namespace
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

import msgspec

from kijabi.base.errors import ConfigError
from kijabi.base.process import run
from kijabi.kubelet.runtime import cni, linux, pause
from kijabi.kubelet.runtime.cgroups import Cgroups

log = logging.getLogger(__name__)

START_TIMEOUT = 30.0  # seconds until containerd must have said that it is ready
STOP_TIMEOUT = 10.0  # seconds after SIGTERM until SIGKILL
RESTART_DELAYS = (0.0, 0.1, 0.5, 1.0, 5.0)  # seconds before each restart; the last one repeats
STEADY = 60.0  # seconds of running after which the delays begin anew
MAX_LINE = 16384  # bytes of a log line before it is split, as upstream
OCI_RUNTIMES = ("crun", "runc")  # in order of preference
DISABLED = (
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.tracing.processor.v1.otlp",
    "io.containerd.internal.v1.tracing",
)
# Runs in the new mount namespace. crun refuses the "hybrid" layout, so the empty v2 tree goes; it is made private first
# lest it disappear for everybody. A shared `/` lets pods' mounts propagate where the machine's is private.
ENTER = """\
set -e
mount --make-rprivate /sys/fs/cgroup
if [ -e /sys/fs/cgroup/unified/cgroup.procs ]; then umount /sys/fs/cgroup/unified; fi
if [ "$2" = private ]; then mount --make-rshared /; fi
exec containerd -c "$1"
"""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Where a node's containerd lives.

    state: short, since sockets lie in it (unix socket paths end at 107 bytes). shared: the directory below which the
    kubelet mounts volumes, to be seen by containers. certs: hosts.toml files of registries (`certs.d`). runtime: the
    OCI runtime, "" for crun where installed, else runc. netns: the node's network namespace, "" for the machine's.
    """

    root: Path
    state: Path
    shared: Path
    cni_conf: Path
    certs: Path
    log: Path
    cgroups: str
    netns: str = ""
    runtime: str = ""
    sandbox_image: str = pause.NAME

    @property
    def socket(self) -> Path:
        """containerd's gRPC socket."""
        return self.state / "containerd.sock"

    @property
    def file(self) -> Path:
        """containerd's configuration file."""
        return self.state / "config.toml"

    @property
    def namespace(self) -> Path:
        """The file that keeps the mount namespace."""
        return self.state / "ns" / "mnt"


def runtime_binary(preferred: str = "") -> str:
    """The OCI runtime to use: crun starts a container in two thirds of runc's CPU time."""
    for name in (preferred,) if preferred else OCI_RUNTIMES:
        path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")
        if path:
            return path
    raise ConfigError(f"no OCI runtime: neither {preferred or 'crun nor runc'} is installed")


def handlers(preferred: str = "") -> dict[str, str]:
    """The handlers that a RuntimeClass may name, with their programs; `oci` is the default one."""
    found = {"oci": runtime_binary(preferred)}
    for name in OCI_RUNTIMES:
        with contextlib.suppress(ConfigError):
            found[name] = runtime_binary(name)
    return found


def configuration(config: Config, *, programs: Mapping[str, str], snapshotter: str, bin_dir: str) -> str:
    """containerd's TOML (version 2), pure. programs: of `handlers`.

    Low ports and ping need no privilege, for a pod's network is its own: so it is by default since containerd 2.
    """
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    disabled = ", ".join(f'"{name}"' for name in DISABLED)
    runtimes = "\n".join(
        f"""\
    [{cri}.containerd.runtimes.{name}]
      runtime_type = "io.containerd.runc.v2"
      [{cri}.containerd.runtimes.{name}.options]
        BinaryName = "{program}"
        Root = "{config.state}/oci"
        SystemdCgroup = false"""
        for name, program in programs.items()
    )
    return f"""\
version = 2
root = "{config.root}"
state = "{config.state}"
oom_score = -999
disabled_plugins = [{disabled}]
[grpc]
  address = "{config.socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{config.root}/opt"
[plugins."io.containerd.gc.v1.scheduler"]
  startup_delay = "10s"
[{cri}]
  sandbox_image = "{config.sandbox_image}"
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  max_container_log_line_size = {MAX_LINE}
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true
  disable_apparmor = {"false" if Path("/sys/kernel/security/apparmor").exists() else "true"}
  tolerate_missing_hugetlb_controller = true
  enable_unprivileged_ports = true
  enable_unprivileged_icmp = true
  [{cri}.containerd]
    snapshotter = "{snapshotter}"
    default_runtime_name = "oci"
{runtimes}
  [{cri}.cni]
    bin_dir = "{bin_dir}"
    conf_dir = "{config.cni_conf}"
    max_conf_num = 1
  [{cri}.registry]
    config_path = "{config.certs}"
"""


class Containerd:
    """One containerd process and its traces. Its pid is found again by its command line, not by a file."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.pid = 0
        self.adopted = False

    async def start(self) -> None:
        """Start containerd, or adopt the one that runs; returns when it answers. Raises ConfigError if it cannot."""
        for directory in (self.config.root, self.config.state, self.config.shared, self.config.certs):
            directory.mkdir(parents=True, exist_ok=True)
        if not self.pid:  # the pipes of a former agent's sessions
            shutil.rmtree(self.config.state / "exec", ignore_errors=True)
        running = self._find()
        if running:
            self.pid, self.adopted = running, True
            log.info("adopted running containerd", extra={"pid": self.pid})
            return
        self.adopted = False
        self.config.file.write_text(
            configuration(
                self.config,
                programs=handlers(self.config.runtime),
                snapshotter=_snapshotter(self.config.root),
                bin_dir=cni.bin_dir(),
            )
        )
        await self._launch()
        await self._import_pause()

    async def supervise(self) -> None:
        """Start containerd anew whenever it ends; containers outlive it. Runs until cancelled."""
        loop = asyncio.get_running_loop()
        attempt = 0
        while True:
            began = loop.time()
            await linux.exited(self.pid)
            linux.reap(self.pid)
            attempt = 0 if loop.time() - began > STEADY else attempt
            log.warning("containerd ended; starting it again", extra={"pid": self.pid, "attempt": attempt})
            await asyncio.sleep(RESTART_DELAYS[min(attempt, len(RESTART_DELAYS) - 1)])
            attempt += 1
            try:
                await self.start()
            except ConfigError:
                log.exception("containerd did not start")

    async def stop(self) -> None:
        """End containerd and leave containers running, for an upgrade."""
        pid, self.pid = self._find(), 0
        if pid:
            os.kill(pid, signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_TIMEOUT):
                    await linux.exited(pid)
            except TimeoutError:
                await linux.kill([pid])
            linux.reap(pid)

    async def destroy(self, *, keep_images: bool = False) -> None:
        """End everything: containerd, shims, containers, mounts, cgroups and files. Also after any crash."""
        own = [*([self._find()] if self._find() else []), *self._shims()]
        await linux.kill(own)
        groups = Cgroups(self.config.cgroups)
        while victims := groups.kill(groups.prefix):
            await linux.kill(victims)
        await linux.kill(self._shims())
        if not groups.remove_all():
            log.warning("cgroups not removed", extra={"prefix": groups.prefix})
        await asyncio.to_thread(self._remove_files, keep_images)
        self.pid = 0

    async def ctr(self, *arguments: str, input: str = "") -> str:
        """Run containerd's own tool in the namespace of Kubernetes' images and containers."""
        return await run("ctr", "-a", str(self.config.socket), "-n", "k8s.io", *arguments, input=input)

    def shims(self) -> list[int]:
        """The shim processes of this containerd; there is one for each pod."""
        return self._shims()

    # The process

    async def _launch(self) -> None:
        self._share_volumes()
        enter = ["nsenter", f"--net={self.config.netns}"] if self.config.netns else []
        if self._namespace_lives():
            command = ["nsenter", f"--mount={self.config.namespace}", "containerd", "-c", str(self.config.file)]
        else:
            self._clear_stale_state()
            self._make_namespace_file()
            root = "shared" if any(m.path == "/" and m.shared for m in linux.mounts()) else "private"
            command = ["unshare", f"--mount={self.config.namespace}", "--propagation", "unchanged"]
            command += ["sh", "-c", ENTER, "sh", str(self.config.file), root]
        ready = self.config.state / "ready.sock"
        ready.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as notify:
            notify.bind(str(ready))
            self.pid = self._spawn([*enter, *command], {**os.environ, "NOTIFY_SOCKET": str(ready)})
            await self._wait_ready(notify)
        ready.unlink(missing_ok=True)

    def _spawn(self, command: list[str], environment: dict[str, str]) -> int:
        """Start a process that outlives us: its own session, its output in a file."""
        program = shutil.which(command[0])
        if program is None:
            raise ConfigError(f"{command[0]} is not installed")
        self.config.log.parent.mkdir(parents=True, exist_ok=True)
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        return os.posix_spawn(
            program,
            command,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.config.log), append, 0o640),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )

    async def _wait_ready(self, notify: socket.socket) -> None:
        """containerd says READY=1 as systemd's services do (sd_notify)."""
        loop = asyncio.get_running_loop()

        async def said_ready() -> None:
            while b"READY=1" not in await loop.sock_recv(notify, 4096):
                continue

        ready = asyncio.ensure_future(said_ready())
        ended = asyncio.ensure_future(linux.exited(self.pid))
        try:
            await asyncio.wait((ready, ended), timeout=START_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                return
            why = "it ended" if ended.done() else f"it said nothing for {START_TIMEOUT:g} s"
            await linux.kill([self.pid])
            raise ConfigError(f"containerd did not start: {why}; {_tail(self.config.log)}")
        finally:
            ready.cancel()
            ended.cancel()
            await asyncio.gather(ready, ended, return_exceptions=True)

    def _find(self) -> int:
        """The running containerd with our configuration, or 0."""
        wanted = str(self.config.file)
        found = linux.processes(lambda words: Path(words[0]).name == "containerd" and words[-1] == wanted)
        return found[0] if found else 0

    def _shims(self) -> list[int]:
        wanted = str(self.config.socket)
        return linux.processes(lambda words: "containerd-shim" in words[0] and wanted in words)

    async def _import_pause(self) -> None:
        if self.config.sandbox_image != pause.NAME:
            return
        if pause.NAME in await self.ctr("images", "list", "-q"):
            return
        archive = self.config.state / "pause.tar"
        archive.write_bytes(pause.archive())
        await self.ctr("images", "import", str(archive))
        archive.unlink()

    # Mounts and files

    def _share_volumes(self) -> None:
        """Volumes that the kubelet mounts later must appear in containerd's mount namespace."""
        if any(m.path == "/" and m.shared for m in linux.mounts()):
            return
        path = str(self.config.shared)
        if not any(m.path == path for m in linux.mounts()):
            linux.mount(path, path, linux.MS_BIND)
        linux.mount("", path, linux.MS_SHARED)

    def _namespace_lives(self) -> bool:
        return any(m.path == str(self.config.namespace) and m.type == "nsfs" for m in linux.mounts())

    def _make_namespace_file(self) -> None:
        """A namespace file may only be bound in a private mount, or the namespace would contain itself."""
        directory = self.config.namespace.parent
        directory.mkdir(exist_ok=True)
        if not any(m.path == str(directory) for m in linux.mounts()):
            linux.mount(str(directory), str(directory), linux.MS_BIND)
        linux.mount("", str(directory), linux.MS_PRIVATE)
        self.config.namespace.touch()

    def _clear_stale_state(self) -> None:
        """The mount namespace is gone, and with it every container: what the state directory says is not true."""
        for name in ("io.containerd.runtime.v2.task", "io.containerd.grpc.v1.cri", "oci"):
            shutil.rmtree(self.config.state / name, ignore_errors=True)

    def _remove_files(self, keep_images: bool) -> None:
        for address in self.config.state.glob("io.containerd.runtime.v2.task/*/*/address"):
            with contextlib.suppress(OSError):
                Path(address.read_text().removeprefix("unix://")).unlink()
        directories = (self.config.state, self.config.root, self.config.shared)
        linux.unmount_below(*directories)
        shutil.rmtree(self.config.state, ignore_errors=True)
        if not keep_images:
            shutil.rmtree(self.config.root, ignore_errors=True)


def _snapshotter(root: Path) -> str:
    """overlayfs, except on top of another overlay (a container's root), where it does not work."""
    path, best = str(root), ("", "")
    for mount in linux.mounts():
        if (path == mount.path or path.startswith(mount.path.rstrip("/") + "/")) and len(mount.path) >= len(best[0]):
            best = (mount.path, mount.type)
    return "native" if best[1] == "overlay" else "overlayfs"


def _tail(path: Path, size: int = 2000) -> str:
    try:
        return path.read_text(errors="replace")[-size:]
    except FileNotFoundError:
        return "it left no log"
