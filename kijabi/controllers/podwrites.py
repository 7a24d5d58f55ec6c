"""Creating and deleting pods for an owner, with the events that tell of it.

The DaemonSet and Job controllers write through here; what they wrote is noted in their OwnWrites, so that they do not
plan again before their cache shows it.
"""

from __future__ import annotations

from kijabi.api.core.pod import Pod
from kijabi.api.meta import Object
from kijabi.base.errors import ApiError, Conflict, ConnectionLost, KijabiError, NotFound
from kijabi.client.cache import key_of
from kijabi.client.client import Client
from kijabi.client.events import Recorder
from kijabi.controllers.ownwrites import OwnWrites
from kijabi.controllers.runtime import namespace_terminating


class PodWrites:
    """Failures are given back and not raised, so that many writes can go side by side."""

    def __init__(self, client: Client, recorder: Recorder, own: OwnWrites) -> None:
        self._client = client
        self._recorder = recorder
        self._own = own

    async def create(self, owner: Object, pod: Pod) -> KijabiError | None:
        """Create a pod; why it failed, if it did. In a namespace that is going, nothing is to be done."""
        try:
            await self._own.noted(key_of(owner), self._client.create(pod))
        except ConnectionLost as error:
            return error
        except ApiError as error:
            if namespace_terminating(error):
                return None
            self._recorder.event(owner, "Warning", "FailedCreate", f"Error creating: {error}")
            return error
        self._recorder.event(owner, "Normal", "SuccessfulCreate", f"Created pod: {pod.metadata.name}")
        return None

    async def delete(self, owner: Object, pod: Pod) -> KijabiError | None:
        """Delete this very pod; why it failed, if it did."""
        own = pod.metadata
        try:
            self._own.reached(key_of(owner), await self._client.delete(Pod, own.name, own.namespace, uid=own.uid))
        except (NotFound, Conflict):  # Gone, or replaced by another of its name.
            return None
        except ConnectionLost as error:
            self._own.lost(key_of(owner))
            return error
        except ApiError as error:
            self._recorder.event(owner, "Warning", "FailedDelete", f"Error deleting: {error}")
            return error
        self._recorder.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {own.name}")
        return None
