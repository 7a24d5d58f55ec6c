"""Every scheduler plugin, one line each, in the order in which they are asked; scores with their weights."""

from __future__ import annotations

from kijabi.scheduler.framework import Filter, Score
from kijabi.scheduler.plugins.nodeaffinity import NodeAffinity
from kijabi.scheduler.plugins.nodename import NodeName
from kijabi.scheduler.plugins.nodeports import NodePorts
from kijabi.scheduler.plugins.noderesources import NodeResourcesBalancedAllocation, NodeResourcesFit
from kijabi.scheduler.plugins.nodeunschedulable import NodeUnschedulable
from kijabi.scheduler.plugins.tainttoleration import TaintToleration

FILTERS: tuple[Filter, ...] = (
    NodeName(),
    NodeUnschedulable(),
    TaintToleration(),
    NodeAffinity(),
    NodePorts(),
    NodeResourcesFit(),
)

SCORES: tuple[tuple[Score, int], ...] = (
    (TaintToleration(), 3),
    (NodeAffinity(), 2),
    (NodeResourcesFit(), 1),
    (NodeResourcesBalancedAllocation(), 1),
)
