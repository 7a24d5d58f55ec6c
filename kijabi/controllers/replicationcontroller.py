"""ReplicationController: what a ReplicaSet is, with a plain map of labels for a selector (core/v1).

The controller is that of `replicaset.py` in the other flavour.
"""

from __future__ import annotations

from kijabi.api.selector import from_labels
from kijabi.controllers.replicaset import Flavor, ReplicaSets
from kijabi.controllers.sources import replication_controllers


class ReplicationControllers(ReplicaSets):
    """The controller of ReplicationControllers."""

    name = "replication"
    flavor = Flavor("ReplicationController", "v1", lambda rc: from_labels(rc.spec.selector), replication_controllers)
