"""The workloads of examples/jobs and examples/agent on real containers: an indexed Job, a CronJob, a DaemonSet."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.world import Namespace, eventually

pytestmark = pytest.mark.e2e

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_an_indexed_job_counts_its_parts(namespace: Namespace) -> None:
    namespace.kubectl("apply", "-f", str(EXAMPLES / "jobs" / "indexed.yaml"))
    namespace.kubectl("wait", "--for=condition=Complete", "job/primes", "--timeout=80s")
    status = namespace.get("job/primes")["status"]
    assert (status["succeeded"], status["completedIndexes"]) == (4, "0-3")
    assert not status.get("failed")
    assert not any(status.get("uncountedTerminatedPods", {}).values())
    logs = namespace.kubectl("logs", "-l", "batch.kubernetes.io/job-name=primes", "--prefix", "--tail=-1")
    counts = {line.split("/")[1].split("-")[1]: int(line.split()[-1]) for line in logs.splitlines()}
    assert counts == {"0": 1229, "1": 1033, "2": 983, "3": 958}  # 4,203 primes below 40,000
    assert namespace.kubectl("get", "job", "primes").splitlines()[1].split()[:3] == ["primes", "Complete", "4/4"]


def test_an_index_that_cannot_succeed_does_not_stop_the_others(namespace: Namespace) -> None:
    """Exit code 42 fails the index at once; the others go on, and the Job says which."""
    text = (EXAMPLES / "jobs" / "indexed.yaml").read_text().replace("name: primes", "name: broken")
    text = text.replace("first, end =", "assert index != 2 or os._exit(42); first, end =")
    namespace.kubectl("apply", "-f", "-", text=text)
    namespace.kubectl("wait", "--for=condition=Failed", "job/broken", "--timeout=80s")
    status = namespace.get("job/broken")["status"]
    assert (status["completedIndexes"], status["failedIndexes"]) == ("0,1,3", "2")
    assert (status["succeeded"], status["failed"]) == (3, 1)
    failed = [each for each in status["conditions"] if each["type"] == "Failed"]
    assert failed[0]["reason"] == "FailedIndexes"


def test_a_cron_job_runs_by_the_clock(namespace: Namespace) -> None:
    namespace.kubectl("apply", "-f", str(EXAMPLES / "jobs" / "every-minute.yaml"))
    namespace.kubectl("create", "job", "by-hand", "--from=cronjob/report")
    namespace.kubectl("wait", "--for=condition=Complete", "job/by-hand", "--timeout=60s")
    job = eventually(lambda: _scheduled(namespace))
    namespace.kubectl("wait", "--for=condition=Complete", f"job/{job}", "--timeout=60s")
    assert namespace.kubectl("logs", f"job/{job}").endswith("all is well\n")
    shown = namespace.get("cronjob/report")["status"]
    assert shown["lastScheduleTime"].endswith(":00Z")
    eventually(lambda: namespace.get("cronjob/report")["status"].get("lastSuccessfulTime"))
    assert "SuccessfulCreate" in namespace.kubectl("describe", "cronjob", "report")
    namespace.kubectl("patch", "cronjob/report", "-p", '{"spec": {"suspend": true}}')
    namespace.kubectl("delete", "cronjob/report", "--cascade=foreground", "--timeout=80s")
    assert not _scheduled(namespace)


def _scheduled(namespace: Namespace) -> str:
    """The name of the Job that the schedule made, not of the one made by hand."""
    names: list[str] = [each["metadata"]["name"] for each in namespace.get("jobs")["items"]]
    return next((name for name in names if name.startswith("report-")), "")


def test_an_agent_runs_on_each_node_and_is_replaced_in_place(namespace: Namespace) -> None:
    namespace.kubectl("apply", "-f", str(EXAMPLES / "agent"))
    namespace.kubectl("rollout", "status", "daemonset/agent", "--timeout=80s")
    nodes = {each["metadata"]["name"] for each in namespace.cluster.get("nodes")["items"]}
    assert {each["spec"]["nodeName"] for each in namespace.get("pods")["items"]} == nodes
    eventually(lambda: "has load" in namespace.kubectl("logs", "ds/agent"))
    namespace.kubectl("set", "env", "daemonset/agent", "VERSION=2")
    namespace.kubectl("rollout", "status", "daemonset/agent", "--timeout=80s")
    namespace.kubectl("rollout", "undo", "daemonset/agent")
    namespace.kubectl("rollout", "status", "daemonset/agent", "--timeout=80s")
    history = namespace.kubectl("rollout", "history", "daemonset/agent").splitlines()
    assert [line.split()[0] for line in history if line[:1].isdigit()] == ["2", "3"]
