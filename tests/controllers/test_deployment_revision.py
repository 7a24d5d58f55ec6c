"""Templates, hashes, revisions, history."""

from __future__ import annotations

import pytest

from kijabi.api.meta import Time
from kijabi.controllers.deployment import revision
from kijabi.controllers.deployment.revision import DESIRED, HASH_LABEL, HISTORY, MAXIMUM, REVISION, ROLLBACK_TO, Sets
from tests.controllers.things import APP, NOW, ago, deployment, owner, replica_set, template

REF = owner("web", "Deployment", "uid-web")


def test_the_hash_is_stable_and_safe_in_names() -> None:
    one = revision.template_hash(template("a"), None)
    assert one == revision.template_hash(template("a"), None)
    assert one != revision.template_hash(template("b"), None)
    assert one != revision.template_hash(template("a"), 0)
    assert one.isalnum()
    assert one == one.lower()
    assert 1 <= len(one) <= 10


def test_the_new_set_carries_the_hash_the_owner_and_the_sizes() -> None:
    d = deployment(4, surge=1, unavailable=0, annotations={"note": "x", REVISION: "7"}, minReadySeconds=5)
    old = replica_set("old", 4, annotations={REVISION: "7"})
    made = revision.new_set(d, REF, [old])
    code = made.metadata.labels[HASH_LABEL]
    assert made.metadata.name == f"web-{code}"
    assert made.metadata.ownerReferences == (REF,)
    assert made.metadata.annotations == {"note": "x", REVISION: "8", DESIRED: "4", MAXIMUM: "5"}
    assert made.spec.selector is not None
    assert made.spec.selector.matchLabels == {**APP, HASH_LABEL: code}
    assert made.spec.template.metadata.labels == {**APP, HASH_LABEL: code}
    assert (made.spec.replicas, made.spec.minReadySeconds) == (0, 5)
    assert d.spec.template.metadata.labels == APP, "the cached Deployment is not written to"
    assert revision.find(d, [old, made]).new is made


def test_of_several_equal_sets_the_oldest_is_the_new_one() -> None:
    d = deployment(image="web:2")
    first, second = replica_set("b", 1, image="web:2", age=50), replica_set("a", 1, image="web:2", age=20)
    other = replica_set("c", 1, age=90)
    assert revision.find(d, [second, other, first]) == Sets(first, (other, second))


def test_annotations_follow_the_deployment_but_for_the_bookkeeping() -> None:
    d = deployment(annotations={"note": "x", "kubectl.kubernetes.io/last-applied-configuration": "{}", REVISION: "3"})
    rs = replica_set("web-1", 3, annotations={REVISION: "4", "note": "old"})
    after = revision.synced(d, rs, 2)
    assert after.metadata.annotations == {REVISION: "4", "note": "x"}
    assert rs.metadata.annotations["note"] == "old", "the cached set is not written to"
    assert revision.synced(d, after, 2) is after


def test_a_set_rolled_back_to_remembers_its_earlier_revisions() -> None:
    rs = replica_set("web-1", 3, annotations={REVISION: "1"})
    again = revision.synced(deployment(), rs, 3)
    assert again.metadata.annotations == {REVISION: "3", HISTORY: "1"}
    third = revision.synced(deployment(), again, 6)
    assert third.metadata.annotations == {REVISION: "6", HISTORY: "1,3"}
    long = replica_set("web-1", 3, annotations={REVISION: "999", HISTORY: ",".join(["100"] * 500)})
    history = revision.synced(deployment(), long, 1000).metadata.annotations[HISTORY]
    assert len(history) <= 2000
    assert history.endswith(",999")


def test_history_beyond_the_limit_goes_but_not_what_may_have_pods() -> None:
    d = deployment(revisionHistoryLimit=1)
    olds = [replica_set(f"r{n}", 0, annotations={REVISION: str(n)}) for n in (3, 1, 2)]
    assert [rs.metadata.name for rs in revision.expired(d, olds)] == ["r1", "r2"]
    olds[1].status.replicas = 1
    assert [rs.metadata.name for rs in revision.expired(d, olds)] == ["r2"]
    olds[2].metadata.generation = 2
    assert revision.expired(d, olds) == ()
    olds[1].metadata.deletionTimestamp = Time.of(NOW)
    assert revision.expired(deployment(revisionHistoryLimit=2), olds) == ()
    assert revision.expired(deployment(revisionHistoryLimit=None), olds) == ()
    assert revision.expired(deployment(revisionHistoryLimit=2**31 - 1), olds) == ()


@pytest.mark.parametrize(
    ("text", "target"), [("2", 2), ("0", 0), ("+1", 1), ("", None), ("x", None), ("9" * 5000, None)]
)
def test_the_deprecated_rollback_annotation(text: str, target: int | None) -> None:
    assert ROLLBACK_TO == "deprecated.deployment.rollback.to"
    assert revision.rollback_target(deployment(annotations={ROLLBACK_TO: text})) == target


def test_rolled_back() -> None:
    d = deployment(image="web:2", annotations={ROLLBACK_TO: "1", REVISION: "2", "note": "new"})
    old = replica_set("old", 0, image="web:1", annotations={REVISION: "1", "note": "old", DESIRED: "3"})
    old.spec.template.metadata.labels = {**APP, HASH_LABEL: "abc"}
    new = replica_set("new", 3, image="web:2", annotations={REVISION: "2"})
    for target in (1, 0):
        done = revision.rollback(d, Sets(new, (old,)), target)
        assert done.after.metadata.annotations == {REVISION: "2", "note": "old"}
        assert done.after.spec.template == template("web:1")
        assert done[1:] == ("Normal", "DeploymentRollback", 'Rolled back deployment "web" to revision 1')
    assert d.spec.template.spec.containers[0].image == "web:2"
    assert ROLLBACK_TO in d.metadata.annotations, "the cached Deployment is not written to"


@pytest.mark.parametrize(
    ("target", "reason", "text"),
    [
        (2, "TemplateUnchanged", 'The rollback revision contains the same template as current deployment "web"'),
        (7, "RevisionNotFound", "Unable to find the revision to rollback to."),
        (0, "RevisionNotFound", "Unable to find last revision."),
    ],
)
def test_what_cannot_be_rolled_back_says_why(target: int, reason: str, text: str) -> None:
    d = deployment(image="web:2", annotations={ROLLBACK_TO: str(target)})
    new = replica_set("new", 3, image="web:2", annotations={REVISION: "2"})
    done = revision.rollback(d, Sets(new, ()), target)
    assert done[1:] == ("Warning", f"DeploymentRollback{reason}", text)
    assert done.after.metadata.annotations == {}
    assert done.after.spec == d.spec


def test_annotations_that_are_no_numbers_do_no_harm() -> None:
    huge = replica_set("a", 1, annotations={REVISION: "9" * 5000, DESIRED: "1" * 5000, "note": "x"})
    assert revision.next_number([huge]) == 1
    assert revision.size_annotation(huge, DESIRED) is None
    assert revision.synced(deployment(), huge, 3) is huge
    negative = replica_set("b", 1, annotations={REVISION: "-4"})
    assert revision.next_number([negative]) == 1


def test_sets_of_one_second_are_ordered_by_name() -> None:
    b, a = replica_set("b", 1, image="x"), replica_set("a", 1, image="x")
    a.metadata.creationTimestamp = b.metadata.creationTimestamp = ago(5)
    assert revision.find(deployment(), [b, a]).old == (a, b)
