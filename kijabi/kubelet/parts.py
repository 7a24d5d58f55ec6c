"""The helpers that pod workers share, in one bundle.

Made once by `loop.Kubelet`, read by every `podworker.PodWorker` and its operations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kijabi.api.core.pod import Pod
from kijabi.kubelet.actions import Starter
from kijabi.kubelet.cache import RuntimeCache
from kijabi.kubelet.configs import NodeFacts
from kijabi.kubelet.groups import Groups
from kijabi.kubelet.images import Images
from kijabi.kubelet.killing import Killing
from kijabi.kubelet.probes import Probes
from kijabi.kubelet.references import References
from kijabi.kubelet.reports import Reports
from kijabi.kubelet.runtime.interface import Runtime
from kijabi.kubelet.statuses import Statuses
from kijabi.kubelet.volumes.files import Files
from kijabi.kubelet.volumes.manager import Volumes


@dataclass(frozen=True)
class Parts:
    """runtime_name: the scheme of container ids. log_root: the directory of all pods' logs.

    may_resize(pod): None if the node can give the pod what it now asks for, else why not (`resize.verdict`).
    """

    runtime: Runtime
    runtime_name: str
    host_ips: tuple[str, ...]
    log_root: str
    cache: RuntimeCache
    references: References
    volumes: Volumes
    files: Files
    images: Images
    groups: Groups
    killing: Killing
    starter: Starter
    probes: Probes
    statuses: Statuses
    reports: Reports
    node: NodeFacts
    may_resize: Callable[[Pod], tuple[str, str] | None]
