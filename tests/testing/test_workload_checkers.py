"""The checkers of StatefulSets, DaemonSets, Jobs, CronJobs, budgets and preemption, on histories of a few writes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kijabi.testing.history import Violation
from tests.testing.histories import (
    CONTROLLERS,
    NODE,
    Step,
    namespace,
    node,
    play,
    pod,
    ref,
    replica_set,
    thing,
)

SCHEDULER = "system:kube-scheduler"
TRACKING = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"


def of(kind: str, owner: str, name: str, uid: str = "", **more: Any) -> dict[str, Any]:
    """A ready pod of an owner."""
    made = pod(name, rs="", **more)
    made["metadata"] |= {"ownerReferences": [ref(kind, owner)], "uid": uid or name}
    return made


def stateful(replicas: int, *, complete: bool = False, **spec: Any) -> Step:
    counts = {"replicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas, "observedGeneration": 1}
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}
    spec = {"replicas": replicas, "updateStrategy": rolling, **spec}
    made = thing("", "db", metadata={"generation": 1}, spec=spec, status=counts if complete else {})
    return ("a", "StatefulSet db", made)


def member(number: int, uid: str = "", **more: Any) -> dict[str, Any]:
    return of("StatefulSet", "db", f"db-{number}", uid, **more)


def daemon(*, surge: int = 0, complete: bool = False, wanted: int = 2) -> Step:
    numbers = ("currentNumberScheduled", "updatedNumberScheduled", "numberReady", "numberAvailable")
    counts = dict.fromkeys(numbers, 2) | {"desiredNumberScheduled": wanted, "observedGeneration": 1}
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": 0 if surge else 1}}
    meta, spec = {"generation": 1}, {"updateStrategy": strategy}
    return ("a", "DaemonSet ds", thing("", "ds", metadata=meta, spec=spec, status=counts if complete else {}))


def agent(name: str, where: str = "n1", **more: Any) -> dict[str, Any]:
    made = of("DaemonSet", "ds", name, **more)
    made["spec"]["nodeName"] = where
    return made


def job(over: str = "", *, parallelism: int = 2, mode: str = "NonIndexed", **status: Any) -> Step:
    conditions = [{"type": over, "status": "True"}] if over else []
    spec = {"parallelism": parallelism, "completions": 3, "completionMode": mode}
    return (CONTROLLERS, "Job j", thing("", "j", spec=spec, status={"conditions": conditions, **status}))


def task(name: str, phase: str = "Running", *, index: int | None = None, tracked: bool = True) -> Step:
    made = of("Job", "j", name, phase=phase)
    made["metadata"] |= {"finalizers": [TRACKING] if tracked else []}
    made["metadata"] |= {"annotations": {INDEX: str(index)}} if index is not None else {}
    return (CONTROLLERS, f"Pod {name}", made)


def cron(policy: str = "Forbid") -> Step:
    return ("a", "CronJob c", thing("", "c", spec={"concurrencyPolicy": policy, "schedule": "* * * * *"}))


def run(name: str, at: str, over: str = "") -> Step:
    meta = {"ownerReferences": [ref("CronJob", "c")], "annotations": {SCHEDULED: at}}
    conditions = [{"type": over, "status": "True"}] if over else []
    return (CONTROLLERS, f"Job {name}", thing("", name, metadata=meta, status={"conditions": conditions}))


def budget(healthy: int, least: int) -> Step:
    status = {"currentHealthy": healthy, "desiredHealthy": least, "observedGeneration": 1}
    spec = {"selector": {"matchLabels": {"app": "web"}}}
    made = thing("", "b", metadata={"generation": 1}, spec=spec, status=status if healthy else {})
    return (CONTROLLERS, "PodDisruptionBudget b", made)


def covered(name: str, *, evicted: bool = False, **more: Any) -> dict[str, Any]:
    made = pod(name, rs="", deleted=evicted, **more)
    made["metadata"]["labels"] = {"app": "web"}
    if evicted:
        why = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
        made["status"]["conditions"] = [*made["status"]["conditions"], why]
    return made


def prior(name: str, priority: int, where: str = "n1", **more: Any) -> dict[str, Any]:
    made = pod(name, rs="", **more)
    made["spec"] |= {"priority": priority, "nodeName": where}
    return made


SET: list[Step] = [namespace(), node(), stateful(2)]
MEMBERS: list[Step] = [(CONTROLLERS, f"Pod db-{number}", member(number)) for number in (0, 1)]
AGENTS: list[Step] = [namespace(), daemon(), *((CONTROLLERS, f"Pod a{n}", agent(f"a{n}", f"n{n}")) for n in (1, 2))]
BOTH: list[Step] = [("a", f"Pod {name}", covered(name)) for name in ("p", "q")]

WRONG: list[tuple[str, list[Step]]] = [
    (
        "AvailabilityKept: db is left with 0",
        [
            *SET,
            *MEMBERS,
            stateful(2, complete=True),
            (CONTROLLERS, "Pod db-1", member(1, deleted=True)),
            (CONTROLLERS, "Pod db-0", member(0, deleted=True)),
        ],
    ),
    (
        "AvailabilityKept: ds is left with 0",
        [
            *AGENTS,
            daemon(complete=True),
            (CONTROLLERS, "Pod a1", agent("a1", "n1", deleted=True)),
            (CONTROLLERS, "Pod a2", agent("a2", "n2", deleted=True)),
        ],
    ),
    ("StartedInOrder: it is made", [*SET, (CONTROLLERS, "Pod db-1", member(1))]),
    (
        "StartedInOrder: it is deleted",
        [
            *SET,
            stateful(3),
            *MEMBERS,
            (CONTROLLERS, "Pod db-2", member(2)),
            *[stateful(1, minReadySeconds=n) for n in range(12)],
            (CONTROLLERS, "Pod db-1", member(1, deleted=True)),
        ],
    ),
    (
        "NoneTooMany",
        [
            ("a", "ReplicaSet rs", replica_set("rs", 1) | {"metadata": {"name": "rs", "namespace": "ns", "uid": "rs"}}),
            *[(CONTROLLERS, f"Pod p{n}", pod(f"p{n}")) for n in (1, 2)],
        ],
    ),
    ("OnePerNode", [daemon(), *[(CONTROLLERS, f"Pod a{n}", agent(f"a{n}")) for n in (1, 2)]]),
    ("OnePerNode", [daemon(surge=1), *[(CONTROLLERS, f"Pod a{n}", agent(f"a{n}")) for n in (1, 2, 3)]]),
    ("CountedExactly: 1 successes are counted, 0", [job(), task("t"), job(succeeded=1)]),
    (
        "CountedExactly: 0 successes are counted, but",
        [job(), task("t"), task("t", "Succeeded"), task("t", "Succeeded", tracked=False)],
    ),
    ("CountedExactly: 1 failures", [job(), task("t"), task("t", "Succeeded"), job(failed=1)]),
    (
        "CountedExactly: 0 failures",
        [job(), task("t"), task("t", "Failed"), task("t", "Failed", tracked=False)],
    ),
    (
        "CountedExactly: indexes",
        [job(mode="Indexed"), task("t", index=0), job(mode="Indexed", completedIndexes="0", succeeded=1)],
    ),
    (
        "CountedExactly: the pods of indexes",
        [
            job(mode="Indexed"),
            task("t", index=0),
            task("t", "Succeeded", index=0),
            task("t", "Succeeded", index=0, tracked=False),
        ],
    ),
    ("JobsEndForGood: it is not", [job("Complete"), job()]),
    ("JobsEndForGood: its counts fell", [job(), task("t", "Failed"), job(failed=1), job()]),
    ("JobsEndForGood: its counts went", [job(), task("t", "Failed"), job("Complete"), job("Complete", failed=1)]),
    ("WithinParallelism: it is made", [job("Complete"), task("t")]),
    ("WithinParallelism: 2 pods", [job(parallelism=1), task("t"), task("u")]),
    ("WithinParallelism: index 0", [job(mode="Indexed"), task("t", index=0), task("u", index=0)]),
    ("TimesRunOnce: a Job for", [cron("Allow"), run("c-1", "1"), ("a", "Job c-1", None), run("c-2", "1")]),
    ("TimesRunOnce: c-1 still runs", [cron(), run("c-1", "1"), run("c-2", "2")]),
    ("BudgetsKept", [*BOTH, budget(0, 2), budget(2, 2), ("a", "Pod p", covered("p", evicted=True))]),
    ("VictimsAreLower", [("a", "Pod p", prior("p", 5)), (SCHEDULER, "Pod p", prior("p", 5, deleted=True))]),
]


@pytest.mark.parametrize(("rule", "steps"), WRONG, ids=[f"{rule}-{n}" for n, (rule, _) in enumerate(WRONG)])
def test_what_is_wrong_is_found(rule: str, steps: list[Step]) -> None:
    play(steps[:-1], runs=("runs", "runs too"))
    with pytest.raises(Violation, match=rule):
        play(steps, runs=("runs", "runs too"))


RIGHT: dict[str, list[Step]] = {
    "one of a set after the other": [*SET, *MEMBERS],
    "all of a parallel set at once": [stateful(2, podManagementPolicy="Parallel"), *reversed(MEMBERS)],
    "one at a time": [*SET, *MEMBERS, stateful(2, complete=True), (CONTROLLERS, "Pod db-1", member(1, deleted=True))],
    "one that was evicted meanwhile": [
        *SET,
        *MEMBERS,
        stateful(2, complete=True),
        (NODE, "Pod db-1", member(1, ready=False)),
        (CONTROLLERS, "Pod db-0", member(0, deleted=True)),
    ],
    "a node that is counted late": [
        *AGENTS[:1],
        daemon(surge=1),
        *AGENTS[2:],
        daemon(surge=1, complete=True),
        daemon(surge=1, complete=True, wanted=3),
        (CONTROLLERS, "Pod b1", agent("b1")),
        (CONTROLLERS, "Pod a1", agent("a1", deleted=True)),
    ],
    "two on a node that surges": [daemon(surge=1), *[(CONTROLLERS, f"Pod a{n}", agent(f"a{n}")) for n in (1, 2)]],
    "a success that is written down, then counted": [
        job(),
        task("t"),
        task("t", "Succeeded"),
        job(uncountedTerminatedPods={"succeeded": ["t"]}),
        task("t", "Succeeded", tracked=False),
        job(succeeded=1),
    ],
    "a Job that is given up lets go what it does not count": [
        job(),
        task("t"),
        job("FailureTarget"),
        task("t", "Failed"),
        task("t", "Failed", tracked=False),
    ],
    "an index that failed is tried again": [
        job(mode="Indexed"),
        task("t", index=0),
        task("t", "Failed", index=0),
        task("u", index=0),
    ],
    "the next time when the last is over": [cron(), run("c-1", "1"), run("c-1", "1", "Complete"), run("c-2", "2")],
    "an eviction that the budget allows": [
        *BOTH,
        budget(0, 1),
        budget(2, 1),
        ("a", "Pod p", covered("p", evicted=True)),
    ],
    "an eviction after a pod broke, of which nobody knew": [
        *BOTH,
        budget(0, 1),
        budget(2, 1),
        (NODE, "Pod q", covered("q", ready=False)),
        ("a", "Pod p", covered("p", evicted=True)),
    ],
    "a victim of something more urgent": [
        ("a", "Pod p", prior("p", 5)),
        ("a", "Pod q", prior("q", 6, "")),
        (SCHEDULER, "Pod p", prior("p", 5, deleted=True)),
    ],
}


@pytest.mark.parametrize("steps", RIGHT.values(), ids=RIGHT)
def test_what_is_right_passes(steps: list[Step]) -> None:
    play(steps)


def test_force_and_lost_nodes_are_vouched_for() -> None:
    """Whoever deletes a pod by force says that it does not run."""
    admin = "kubernetes-admin"
    again = (CONTROLLERS, "Pod db-0", member(0, "runs too"))
    first = (CONTROLLERS, "Pod db-0", member(0, "runs"))
    play([*SET, first, (admin, "Pod db-0", None), again], runs=("runs", "runs too"))
    play([*SET, first, ("a", "Node n1", None), (CONTROLLERS, "Pod db-0", None), again], runs=("runs", "runs too"))


def test_two_of_one_identity_that_run() -> None:
    runs: set[str] = set()

    def steps(*, both: bool) -> Iterator[Step]:
        yield from (*SET, (CONTROLLERS, "Pod db-0", member(0, "old")), (NODE, "Pod db-0", None))
        runs.update(("old", "new") if both else ("new",))
        yield (CONTROLLERS, "Pod db-0", member(0, "new"))

    play(steps(both=False), runs)
    runs.clear()
    with pytest.raises(Violation, match="OneOfEachIdentity"):
        play(steps(both=True), runs)
