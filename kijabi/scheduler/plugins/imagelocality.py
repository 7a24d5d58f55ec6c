"""ImageLocality: prefers nodes that have the pod's images already, the more the larger and the wider spread they are.

The spread counts so that a first node with an image does not draw all pods to itself. The formula is that of v1.37.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kijabi.api.core.pod import Pod
from kijabi.scheduler.framework import MAX_SCORE, Mask, Scores
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.podinfo import PodInfo

LEAST, MOST = 23 << 20, 1000 << 20  # bytes: less counts nothing; for each image no more counts


def _images(pod: Pod) -> Iterator[str]:
    """The images as a node names them: with a tag."""
    named = [container.image for container in (*pod.spec.initContainers, *pod.spec.containers)]
    named += [volume.image.reference for volume in pod.spec.volumes if volume.image is not None]
    for name in named:
        yield name if name.rfind(":") > name.rfind("/") else f"{name}:latest"


class ImageLocality:
    """Scores by the images of containers, init containers and image volumes."""

    name = "ImageLocality"

    def score(self, pod: PodInfo, nodes: NodeState, feasible: Mask) -> Scores | None:
        total: Scores | None = None
        images = 0
        for image in _images(pod.pod):
            images += 1
            sizes = nodes.image(image)
            having = int(np.count_nonzero(sizes))
            if having:
                part: Scores = np.floor(sizes * (having / len(nodes)))
                total = part if total is None else total + part
        most = MOST * images
        if total is None or total.max() <= LEAST:
            return None
        return np.floor(MAX_SCORE * (np.clip(total, LEAST, most) - LEAST) / (most - LEAST))
