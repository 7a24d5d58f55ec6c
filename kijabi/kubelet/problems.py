"""What can keep a pod from starting, besides what the runtime itself refuses (`runtime/interface.RuntimeFailure`).

Raised by the makers of environments, volumes and configs; `actions.py` turns each into the event and the waiting
reason that users know from Kubernetes.
"""

from __future__ import annotations

from kijabi.base.errors import KijabiError


class ConfigProblem(KijabiError):
    """A container's config cannot be made (CreateContainerConfigError): a key is missing, a user is refused …"""


class VolumeProblem(KijabiError):
    """A volume cannot be set up (event FailedMount). step: what failed; volume: its name, a persistent one's own."""

    def __init__(self, volume: str, message: str, step: str = "MountVolume.SetUp failed") -> None:
        super().__init__(message)
        self.volume = volume
        self.message = message
        self.step = step

    @property
    def said(self) -> str:
        """What the event says."""
        return f'{self.step} for volume "{self.volume}" : {self.message}'


class UnreadyVolume(VolumeProblem):
    """A volume of a pod about which not enough is known yet: its claim is not bound, for one."""

    @property
    def said(self) -> str:
        """What the event says."""
        which = f"unmounted volumes=[{self.volume}], unattached volumes=[]"
        return f"Unable to attach or mount volumes: {which}, failed to process volumes=[{self.volume}]: {self.message}"
