"""The arithmetic of rollouts: exact numbers, by table."""

from __future__ import annotations

from typing import Any

import pytest

from kijabi.api.apps.replicaset import ReplicaSet
from kijabi.controllers.deployment import revision, scale
from tests.controllers.things import deployment, replica_set


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "fences"),
    [
        (10, "25%", "25%", (3, 2)),
        (1, "25%", "25%", (1, 0)),
        (3, 0, "25%", (0, 1)),
        (10, 0, 0, (0, 1)),
        (4, "50%", 1, (2, 1)),
        (2, 1, 5, (1, 2)),
        (0, "25%", "25%", (0, 0)),
    ],
)
def test_fenceposts(replicas: int, surge: Any, unavailable: Any, fences: tuple[int, int]) -> None:
    d = deployment(replicas, surge=surge, unavailable=unavailable)
    assert (scale.max_surge(d), scale.max_unavailable(d)) == fences


@pytest.mark.parametrize(
    ("surge", "old", "new", "grown"), [(0, 10, 0, 0), (2, 10, 0, 2), (2, 5, 0, 7), (2, 10, 2, 2), (2, 2, 11, 10)]
)
def test_the_new_set_grows_into_what_room_there_is(surge: int, old: int, new: int, grown: int) -> None:
    d = deployment(10, surge=surge, unavailable=0)
    new_set = replica_set("new", new)
    assert scale.new_size(d, new_set, (replica_set("old", old), new_set)) == grown


@pytest.mark.parametrize(
    ("unavailable", "old", "old_ready", "new", "new_ready", "left"),
    [
        (0, 10, 10, 0, 0, 9),  # Both fenceposts zero: one may be missing all the same.
        (2, 10, 10, 0, 0, 8),
        (2, 10, 8, 0, 0, 8),  # The two that are broken go, which costs nothing.
        (2, 10, 9, 0, 0, 8),
        (2, 8, 8, 2, 0, None),  # The new ones are not there yet.
        (2, 5, 8, 5, 4, 4),  # Three of the eight are to go already: they cannot be spared a second time.
        (2, 0, 0, 10, 10, None),
    ],
)
def test_old_sets_shrink_as_far_as_is_safe(
    unavailable: int, old: int, old_ready: int, new: int, new_ready: int, left: int | None
) -> None:
    d = deployment(10, surge=0, unavailable=unavailable)
    olds = replica_set("old", old, available=old_ready)
    sizes = scale.rolling(d, replica_set("new", new, available=new_ready), (olds,))
    assert sizes.get("old") == left


def test_broken_pods_of_the_oldest_set_go_first() -> None:
    d = deployment(10, surge=3, unavailable=2)
    older, old = replica_set("older", 4, available=1, age=300), replica_set("old", 6, available=5, age=200)
    assert scale.rolling(d, replica_set("new", 3, available=0), (older, old)) == {"older": 2}
    # Room for two more than broken ones: healthy pods go only as far as enough stay available.
    assert scale.rolling(d, replica_set("new", 3, available=3), (older, old)) == {"older": 0, "old": 5}


def sized(name: str, replicas: int, age: float, before: Any) -> ReplicaSet:
    rs = replica_set(name, replicas, age=age)
    rs.metadata.annotations = revision.with_sizes(rs, before).metadata.annotations
    return rs


@pytest.mark.parametrize(
    ("replicas", "before", "new", "old", "want"),
    [
        # replicas now and before; size of the new set; sizes of the old, newest first; what becomes of them.
        (12, 10, None, [10], [12]),
        (5, 10, None, [10], [5]),
        (12, 10, 5, [5], [6, 6]),
        (12, 10, 3, [7], [4, 8]),
        (10, 6, 2, [4], [3, 7]),
        (5, 3, 2, [1], [3, 2]),
        (8, 10, 8, [2], [6, 2]),
        (4, 5, 2, [3], [2, 2]),
        (3, 5, 2, [3], [1, 2]),
        (4, 9, 8, [1], [4, 0]),
        (10, 7, 2, [3, 2], [3, 4, 3]),
        (8, 13, 2, [8, 3], [1, 5, 2]),
        (4, 3, 1, [1, 1], [2, 1, 1]),
        (2, 3, 1, [1, 1], [1, 1, 0]),
        (5, 4, None, [2, 2], [3, 2]),
        (0, 6, 3, [2, 1], [0, 0, 0]),
        (6, 6, 0, [0, 0], [6, 0, 0]),
        (14, 10, None, [7, 3], [10, 4]),
    ],
)
def test_proportional(replicas: int, before: int, new: int | None, old: list[int], want: list[int]) -> None:
    was = deployment(before, surge=0, unavailable=0)
    d = deployment(replicas, surge=0, unavailable=0)
    new_set = sized("new", new, 0, was) if new is not None else None
    olds = [sized(f"old{n}", size, 10.0 * (n + 1), was) for n, size in enumerate(old)]
    sizes = scale.proportional(
        d, new_set, olds[::-1], lambda rs: revision.size_annotation(rs, revision.MAXIMUM), saturated=False
    )
    sets = ([new_set] if new_set is not None else []) + olds
    assert [sizes.get(rs.metadata.name, scale.replicas_of(rs)) for rs in sets] == want


@pytest.mark.parametrize(
    ("replicas", "before", "surge", "surge_before", "new", "old", "want"),
    [(20, 10, 2, 2, 6, 6, (11, 11)), (50, 10, 6, 3, 5, 8, (22, 34))],
)
def test_proportional_counts_the_surge(
    replicas: int, before: int, surge: int, surge_before: int, new: int, old: int, want: tuple[int, int]
) -> None:
    was = deployment(before, surge=surge_before, unavailable=0)
    d = deployment(replicas, surge=surge, unavailable=0)
    sizes = scale.proportional(
        d,
        sized("new", new, 0, was),
        [sized("old", old, 9, was)],
        lambda rs: revision.size_annotation(rs, revision.MAXIMUM),
        saturated=False,
    )
    assert (sizes["new"], sizes["old"]) == want


def test_a_saturated_new_set_leaves_nothing_to_the_old() -> None:
    d = deployment(2, surge=1, unavailable=1)
    sizes = scale.proportional(d, replica_set("new", 2), [replica_set("old", 1)], lambda _: 3, saturated=True)
    assert sizes == {"old": 0}


def test_recreate_takes_every_old_pod_away() -> None:
    assert scale.recreate_down([replica_set("a", 3), replica_set("b", 0)]) == {"a": 0}
