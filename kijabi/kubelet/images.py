"""Making sure that a container's image is on the node: pull policy, pull secrets, back-off, and the events of it.

Called by `actions.py` before a container is created; hands on to the runtime. Reasons and messages are those that
`kubectl describe pod` has always shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec

from kijabi.api.core.container import Container
from kijabi.api.core.pod import Pod
from kijabi.api.core.secret import Secret
from kijabi.api.gotext import duration
from kijabi.base import clock
from kijabi.base.errors import ConnectionLost, KijabiError
from kijabi.kubelet import backoff, credentials
from kijabi.kubelet.backoff import Backoff
from kijabi.kubelet.reports import Reports
from kijabi.kubelet.runtime.interface import Image, ImageAuth, Runtime, RuntimeFailure

PARALLEL_PULLS = 4
BACKOFFS_KEPT = 1000
LOOK_AGAIN = 3.0


class ImageProblem(KijabiError):
    """The image is not there. reason: ErrImagePull, ImagePullBackOff, InvalidImageName, ErrImageNeverPull …

    retry_after: seconds until a new try makes sense.
    """

    def __init__(self, reason: str, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


class _Failure(msgspec.Struct, frozen=True):
    """The last failed pull of an image for a pod."""

    entry: Backoff
    at: float
    text: str


class Images:
    """All image pulls of this node; at most PARALLEL_PULLS at once."""

    def __init__(self, runtime: Runtime, reports: Reports) -> None:
        self._runtime = runtime
        self._reports = reports
        self._slots = asyncio.Semaphore(PARALLEL_PULLS)
        self._failures: dict[tuple[str, str], _Failure] = {}
        self.pulling: set[str] = set()  # which the garbage collection must leave alone

    async def ensure(self, pod: Pod, container: Container, secrets: Iterable[Secret]) -> Image:
        """The image, pulled if its policy asks for it. Raises ImageProblem; events are already recorded then."""
        name = container.image
        try:
            full = credentials.with_default_tag(name)
        except ValueError as problem:
            message = f'Failed to apply default image tag "{name}": couldn\'t parse image name "{name}": {problem}'
            self._reports.container(pod, container.name, "Warning", "InspectFailed", message)
            raise ImageProblem("InvalidImageName", message, backoff.LIMIT) from problem
        policy = container.imagePullPolicy or ("Always" if full.endswith(":latest") else "IfNotPresent")
        if policy != "Always":
            found = await self._inspect(pod, container, full)
            if found is not None:
                message = f'Container image "{name}" already present on machine and can be accessed by the pod'
                self._reports.container(pod, container.name, "Normal", "Pulled", message)
                return found
            if policy == "Never":
                message = f'Container image "{name}" is not present with pull policy of Never'
                self._reports.container(pod, container.name, "Warning", "ErrImageNeverPull", message)
                raise ImageProblem("ErrImageNeverPull", message, backoff.FIRST)
        return await self._pull(pod, container, full, credentials.matching(full, secrets))

    def forget(self, uid: str) -> None:
        """The pod is gone: drop its back-offs."""
        self._failures = {key: value for key, value in self._failures.items() if key[0] != uid}

    async def _inspect(self, pod: Pod, container: Container, full: str) -> Image | None:
        try:
            return await self._runtime.image_status(full)
        except (RuntimeFailure, ConnectionLost) as problem:
            message = f'Failed to inspect image "{full}": {problem}'
            self._reports.container(pod, container.name, "Warning", "InspectFailed", message)
            raise ImageProblem("ImageInspectError", message, backoff.FIRST) from problem

    async def _pull(self, pod: Pod, container: Container, full: str, auths: tuple[ImageAuth, ...]) -> Image:
        key = (pod.metadata.uid, full)
        self._check_backoff(pod, container, key)
        self._reports.container(pod, container.name, "Normal", "Pulling", f'Pulling image "{container.image}"')
        asked = clock.monotonic()
        self.pulling.add(full)
        try:
            async with self._slots:
                began = clock.monotonic()
                image = await self._pull_with_any(full, auths)
                ended = clock.monotonic()
        except (RuntimeFailure, ConnectionLost) as problem:
            raise self._failed(pod, container, key, problem) from problem
        finally:
            self.pulling.discard(full)
        self._failures.pop(key, None)
        message = (
            f'Successfully pulled image "{container.image}" in {duration(ended - began)} '
            f"({duration(ended - asked)} including waiting). Image size: {image.size} bytes."
        )
        self._reports.container(pod, container.name, "Normal", "Pulled", message)
        return image

    async def _pull_with_any(self, full: str, auths: tuple[ImageAuth, ...]) -> Image:
        """Try each credential that fits; without any, pull anonymously. The last failure counts."""
        last: RuntimeFailure | None = None
        for auth in auths or (None,):
            try:
                image_id = await self._runtime.pull_image(full, auth)
            except RuntimeFailure as problem:
                last = problem
                continue
            found = await self._runtime.image_status(image_id) or await self._runtime.image_status(full)
            if found is not None:
                return found
            last = RuntimeFailure("ErrImagePull", f'image "{full}" is not there after its pull')
        assert last is not None
        raise last

    def _check_backoff(self, pod: Pod, container: Container, key: tuple[str, str]) -> None:
        failure = self._failures.get(key)
        left = failure.entry.remaining(failure.at, clock.wall()) if failure else 0.0
        if failure and left > 0:
            message = f'Back-off pulling image "{container.image}"'
            self._reports.container(pod, container.name, "Normal", "BackOff", message)
            raise ImageProblem("ImagePullBackOff", f"{message}: {failure.text}", left)

    def _failed(
        self, pod: Pod, container: Container, key: tuple[str, str], problem: RuntimeFailure | ConnectionLost
    ) -> ImageProblem:
        now = clock.wall()
        text = f'Failed to pull image "{container.image}": {problem}'
        self._reports.container(pod, container.name, "Warning", "Failed", text)
        reason = problem.reason if isinstance(problem, RuntimeFailure) and problem.reason else "ErrImagePull"
        if reason == "RegistryUnavailable":
            message = f"image pull failed for {container.image} because the registry is unavailable: {problem}"
        else:
            message = str(problem)
        before = self._failures.get(key)
        entry = backoff.raised(before.entry if before else None, now, now)
        if len(self._failures) >= BACKOFFS_KEPT:
            self._failures.pop(next(iter(self._failures)))
        self._failures[key] = _Failure(entry, now, f"{reason}: {message}")
        # The next look does not pull yet: it turns the reason into ImagePullBackOff, which says what failed.
        return ImageProblem(reason, message, LOOK_AGAIN)
