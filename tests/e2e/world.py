"""The hands of the end-to-end tests: run `kijabi`, run `kubectl`, wait for a condition with kubectl's own means."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from kijabi.cmd import config as configuration

T = TypeVar("T")

PATIENCE = 90.0


class Cluster:
    """One cluster in a directory, and kubectl for it."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.port = port

    @classmethod
    def at(cls, directory: Path) -> Cluster:
        """The cluster that runs in a directory."""
        return cls(directory, configuration.load(directory).port)

    @property
    def config(self) -> configuration.ClusterConfig:
        return configuration.load(self.directory)

    @property
    def kubeconfig(self) -> Path:
        return self.directory / "kubeconfig"

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.directory)}

    def kijabi(self, command: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "kijabi.cmd.main", command, "--data-dir", str(self.directory), *arguments]
        done = subprocess.run(line, capture_output=True, text=True, timeout=180)
        if check and done.returncode:
            raise AssertionError(f"kijabi {command} failed:\n{done.stdout}{done.stderr}\n{self.last_logs()}")
        return done

    def import_images(self) -> None:
        """The images of `make images` into every node."""
        line = [sys.executable, "-m", "kijabi.testing.images", "import", "--data-dir", str(self.directory)]
        subprocess.run(line, check=True, timeout=300)

    def kubectl(self, *arguments: str, text: str | None = None, check: bool = True, timeout: float = PATIENCE) -> str:
        """Run kubectl and give what it printed; AssertionError with its complaint if it failed."""
        done = self.try_kubectl(*arguments, text=text, timeout=timeout)
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def try_kubectl(
        self, *arguments: str, text: str | None = None, timeout: float = PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["kubectl", *arguments], input=text, capture_output=True, text=True, env=self.environment, timeout=timeout
        )

    def get(self, *arguments: str) -> Any:
        """`kubectl get … -o json`, read."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """kubectl in the background, for what goes on until it is ended."""
        return subprocess.Popen(
            ["kubectl", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment,
        )

    def component(self, name: str) -> dict[str, Any]:
        """One component as `kijabi status --json` shows it."""
        states = json.loads(self.kijabi("status", "--json", check=False).stdout)
        return next(state for state in states if state["name"] == name)

    def kill(self, name: str) -> dict[str, Any]:
        """SIGKILL for a component; gives it as it is when it is ready again."""
        before = self.component(name)
        os.kill(before["pid"], signal.SIGKILL)

        def back() -> dict[str, Any] | None:
            now = self.component(name)
            return now if now["state"] == "ready" and now["restarts"] > before["restarts"] else None

        return eventually(back)  # type: ignore[return-value]

    def run_here(self, *command: str) -> str:
        """Run a command on the machine, in its own network, and give its output; that it fails is no error."""
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE).stdout

    def last_logs(self, size: int = 3000) -> str:
        """The ends of the component logs, for a failure's message."""
        parts = []
        for path in sorted((self.directory / "logs").glob("*")):
            parts.append(f"--- {path.name}\n{path.read_text(errors='replace')[-size:]}")
        return "\n".join(parts)

    def save_logs(self, target: Path) -> None:
        """Keep the component logs where a person can read them after the cluster is gone."""
        if (self.directory / "logs").is_dir():
            shutil.copytree(self.directory / "logs", target, dirs_exist_ok=True)


class Namespace:
    """One namespace of a cluster, and the commands for it."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name

    def kubectl(self, *arguments: str, text: str | None = None, timeout: float = PATIENCE) -> str:
        return self.cluster.kubectl("-n", self.name, *arguments, text=text, timeout=timeout)

    def try_kubectl(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        return self.cluster.try_kubectl("-n", self.name, *arguments, text=text)

    def fails(self, *arguments: str, text: str | None = None) -> str:
        """What kubectl complains of; AssertionError if it does not fail."""
        done = self.try_kubectl(*arguments, text=text)
        assert done.returncode != 0, done.stdout
        return done.stderr.strip()

    def apply(self, *objects: dict[str, Any]) -> None:
        """`kubectl apply` of objects given as dictionaries."""
        self.kubectl("apply", "-f", "-", text="\n".join(json.dumps(thing) for thing in objects))

    def get(self, *arguments: str) -> Any:
        return self.cluster.get("-n", self.name, *arguments)

    def exec(self, pod: str, *command: str, container: str = "") -> str:
        """Run a command in a pod and give its output."""
        return self.kubectl("exec", pod, *(["-c", container] if container else []), "--", *command)

    def shell(self, pod: str, line: str) -> str:
        """Run a line of shell in a pod and give its output, stripped."""
        return self.exec(pod, "sh", "-c", line).strip()

    def field(self, thing: str, path: str) -> str:
        """One field by JSONPath: `field("pod/x", "{.status.phase}")`."""
        return self.kubectl("get", thing, "-o", f"jsonpath={path}")

    def events(self, name: str) -> list[tuple[str, str]]:
        """(reason, message) of an object's events, oldest first."""
        items = self.get("events", f"--field-selector=involvedObject.name={name}")["items"]
        return [(item["reason"], item["message"]) for item in items]

    def has_account(self) -> None:
        """Wait until pods can be made: the controllers must have made the default service account."""
        eventually(lambda: self.try_kubectl("get", "serviceaccount", "default").returncode == 0)


def eventually(what: Callable[[], T], *, seconds: float = PATIENCE, every: float = 0.1) -> T:
    """Call until it gives something true and raises no AssertionError; the last complaint if it never does.

    For what no command can wait for; `kubectl wait` and `kubectl rollout status` are better where they know how.
    """
    end = time.monotonic() + seconds
    complaint: AssertionError | None = None
    while True:
        try:
            result = what()
            if result:
                return result
        except AssertionError as error:
            complaint = error
        if time.monotonic() > end:
            raise complaint or AssertionError(f"did not come true in {seconds:g} s: {what}")
        time.sleep(every)
