"""A control plane whose parts are processes of their own: our API server and nodes, others' everything else."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from kijabi.testing.conformance.build import KUBECTL, Builder, Program
from tests.e2e.world import Cluster, eventually

CONTROLLER_MANAGER = Program("kube-controller-manager", "./cmd/kube-controller-manager")
SCHEDULER = Program("kube-scheduler", "./cmd/kube-scheduler")
PROXY = Program("kube-proxy", "./cmd/kube-proxy")
KUBELET = Program("kubelet", "./cmd/kubelet")

# What a log says when the server did not do what its client expects. What klog writes at its start (its flags) and
# what concurrency brings with it (conflicts, caches that lag) is none of it.
COMPLAINTS = re.compile(
    r"\"Failed to watch\"|failed to (list|watch) \*|unable to (decode|fetch|retrieve)|cannot unmarshal|proto:|"
    r"no kind .* is registered|no matches for kind|could not find the requested resource|is forbidden|"
    r"the server (rejected|does not allow|was unable|is currently unable)|not acceptable|unsupported media type|"
    r"strict decoding error|[Dd]iscovery failed|panic",
    re.IGNORECASE,
)
QUIET = ("--leader-elect=true", "--secure-port=0", "--v=2")
FLAG = re.compile(r"^I.* flags\.go:\d+\] FLAG: ")
ENDING = "because it is being terminated"  # a namespace: whoever makes something there meanwhile is told so


class Plane(Cluster):
    """The cluster, and the processes that make it."""

    def __init__(self, directory: Path, port: int, builder: Builder) -> None:
        super().__init__(directory, port)
        self.builder = builder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def prepare(self, nodes: int) -> None:
        """Directory, keys and kubeconfigs: what `up` decides once. Nothing runs afterwards."""
        self.kijabi("up", "--port", str(self.port), "--runtime", "fake", "--nodes", str(nodes))
        self.kijabi("down")

    def ours(self, name: str, command: str, *arguments: str) -> None:
        """Start a part of ours."""
        place = ("--data-dir", str(self.directory))
        self.start_part(name, sys.executable, "-m", "kijabi.cmd.main", command, *place, *arguments)

    def theirs(self, program: Program, *arguments: str) -> None:
        """Start a component of upstream's."""
        self.start_part(program.name, str(self.builder.program(program)), *arguments)

    def start_part(self, name: str, *line: str) -> None:
        """Start a process; its output goes where the logs are."""
        with self.log(name).open("ab") as output:
            self.processes[name] = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def stop(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        """End a process and wait for it."""
        process = self.processes.pop(name)
        process.send_signal(how)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)

    def wait_for_server(self) -> None:
        eventually(lambda: self.try_kubectl("get", "--raw", "/readyz").returncode == 0)

    def log(self, name: str) -> Path:
        return self.directory / "logs" / f"{name}.out"

    def complaints(self, name: str) -> list[str]:
        """The lines of a component's log that speak against the server."""
        lines = self.log(name).read_text(errors="replace").splitlines()
        return [line for line in lines if COMPLAINTS.search(line) and not (FLAG.match(line) or ENDING in line)]

    def credentials(self, name: str) -> tuple[str, ...]:
        """The flags by which a component of the control plane is given its kubeconfig."""
        flags = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
        return tuple(f"--{flag}={self.config.component_kubeconfig(name)}" for flag in flags)

    def controller_manager(self) -> None:
        config = self.config
        pki = config.pki
        self.theirs(
            CONTROLLER_MANAGER, *self.credentials("controller-manager"), *QUIET,
            "--use-service-account-credentials=true", f"--service-account-private-key-file={pki / 'sa.key'}",
            f"--root-ca-file={pki / 'ca.crt'}", f"--cluster-signing-cert-file={pki / 'ca.crt'}",
            f"--cluster-signing-key-file={pki / 'ca.key'}", f"--cluster-cidr={config.pod_cidr}",
            f"--service-cluster-ip-range={config.service_cidr}", "--allocate-node-cidrs=false",
        )  # fmt: skip

    def scheduler(self) -> None:
        self.theirs(SCHEDULER, *self.credentials("scheduler"), *QUIET)

    def end(self) -> None:
        """Everything that still runs, the API server last."""
        for name in sorted(self.processes, key=lambda each: each == "apiserver"):
            self.stop(name)

    @property
    def environment(self) -> dict[str, str]:
        found = super().environment
        newest = self.builder.program(KUBECTL).parent
        return {**found, "PATH": f"{newest}:{os.environ['PATH']}"}


def workload(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    """A workload of apps/v1 whose pods have its name as their label."""
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
    whole = {"selector": {"matchLabels": {"app": name}}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": whole}
