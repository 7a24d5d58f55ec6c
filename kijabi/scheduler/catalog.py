"""Every scheduler plugin, one line each, in the order in which they are asked; scores with their weights."""

from __future__ import annotations

from kijabi.scheduler.framework import Filter, Score
from kijabi.scheduler.plugins.dynamicresources import DynamicResources
from kijabi.scheduler.plugins.imagelocality import ImageLocality
from kijabi.scheduler.plugins.interpodaffinity import InterPodAffinity
from kijabi.scheduler.plugins.nodeaffinity import NodeAffinity
from kijabi.scheduler.plugins.nodename import NodeName
from kijabi.scheduler.plugins.nodeports import NodePorts
from kijabi.scheduler.plugins.noderesources import NodeResourcesBalancedAllocation, NodeResourcesFit
from kijabi.scheduler.plugins.nodeunschedulable import NodeUnschedulable
from kijabi.scheduler.plugins.nodevolumelimits import NodeVolumeLimits
from kijabi.scheduler.plugins.podtopologyspread import PodTopologySpread
from kijabi.scheduler.plugins.tainttoleration import TaintToleration
from kijabi.scheduler.plugins.volumebinding import VolumeBinding
from kijabi.scheduler.plugins.volumerestrictions import VolumeRestrictions
from kijabi.scheduler.plugins.volumezone import VolumeZone

FILTERS: tuple[Filter, ...] = (
    NodeName(),
    NodeUnschedulable(),
    TaintToleration(),
    NodeAffinity(),
    NodePorts(),
    NodeResourcesFit(),
    VolumeRestrictions(),
    NodeVolumeLimits(),
    VolumeBinding(),
    VolumeZone(),
    PodTopologySpread(),
    InterPodAffinity(),
    DynamicResources(),
)

SCORES: tuple[tuple[Score, int], ...] = (
    (TaintToleration(), 3),
    (NodeAffinity(), 2),
    (NodeResourcesFit(), 1),
    (VolumeBinding(), 1),
    (PodTopologySpread(), 2),
    (InterPodAffinity(), 2),
    (NodeResourcesBalancedAllocation(), 1),
    (ImageLocality(), 1),
)
