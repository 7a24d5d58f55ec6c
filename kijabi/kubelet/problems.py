"""What can keep a pod from starting, besides what the runtime itself refuses (`runtime/interface.RuntimeFailure`).

Raised by the makers of environments, volumes and configs; `actions.py` turns each into the event and the waiting
reason that users know from Kubernetes.
"""

from __future__ import annotations

from kijabi.base.errors import KijabiError


class ConfigProblem(KijabiError):
    """A container's config cannot be made (CreateContainerConfigError): a key is missing, a user is refused …"""


class VolumeProblem(KijabiError):
    """A volume cannot be set up (event FailedMount)."""

    def __init__(self, volume: str, message: str) -> None:
        super().__init__(message)
        self.volume = volume
        self.message = message
