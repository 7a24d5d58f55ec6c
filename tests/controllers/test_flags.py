"""Flags of the controllers: which of them run, with how many workers, and mistakes in words."""

from __future__ import annotations

import pytest

from kijabi.base.errors import ConfigError
from kijabi.controllers import catalog
from kijabi.controllers.flags import Flags, canonical, check_names, parse


def test_which_controllers_run() -> None:
    flags = parse(["controllers=*,-ttl-after-finished,bootstrapsigner"])
    assert flags.runs("deployment", by_default=True)
    assert not flags.runs("token-cleaner", by_default=False)
    assert flags.runs("bootstrap-signer-controller", by_default=False)
    assert not flags.runs("ttl-after-finished", by_default=True)
    assert not parse(["controllers=job"]).runs("deployment", by_default=True)
    assert parse([]).runs("deployment", by_default=True)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("replication", "replicationcontroller-controller"),
        ("podgc", "pod-garbage-collector-controller"),
        ("horizontalpodautoscaling", "horizontal-pod-autoscaler-controller"),
        ("resource-claim-controller", "resourceclaim-controller"),
        ("endpoint", "endpoints-controller"),
        ("service-lb-controller", "service"),
        ("pvc-protection", "persistentvolumeclaim-protection-controller"),
    ],
)
def test_older_names_mean_the_same(name: str, other: str) -> None:
    assert canonical(name) == canonical(other)


def test_no_two_controllers_have_one_name() -> None:
    names = [canonical(name) for name in catalog.names()]
    assert len(names) == len(set(names))


def test_workers() -> None:
    flags = parse(["concurrent-deployment-syncs=9", "concurrent-rc-syncs=2"])
    assert (flags.workers("deployment", 5), flags.workers("replication", 5), flags.workers("job", 5)) == (9, 2, 5)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("node-monitor-period=5s", "the controller manager has no flag 'node-monitor-period'"),
        ("node-eviction-rate=-1", "must not be negative"),
        ("concurrent-gc-syncs=0", "must be from 1 to 1000"),
        ("max-endpoints-per-slice=1001", "must be from 1 to 1000"),
        ("unhealthy-zone-threshold=2", "must be from 0 to 1"),
    ],
)
def test_mistakes_are_told_in_words(argument: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse([argument])


def test_a_controller_that_does_not_exist_is_refused() -> None:
    check_names(Flags(controllers=("*", "-nodeipam", "service")), catalog.names())
    with pytest.raises(ConfigError, match="there is no controller of this name"):
        check_names(Flags(controllers=("*", "-typo")), catalog.names())
