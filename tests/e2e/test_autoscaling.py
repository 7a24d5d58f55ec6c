"""The API of examples/autoscaler under load: what containers really use decides how many there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.world import Namespace

pytestmark = pytest.mark.e2e

EXAMPLE = Path(__file__).parents[2] / "examples" / "autoscaler"


def test_replicas_follow_the_load(namespace: Namespace) -> None:
    namespace.kubectl("apply", "-f", str(EXAMPLE))
    namespace.kubectl("rollout", "status", "deployment/api", "--timeout=80s")
    namespace.kubectl("wait", "--for=condition=ScalingActive", "hpa/api", "--timeout=80s")
    namespace.kubectl("apply", "-f", str(EXAMPLE / "load"))
    namespace.kubectl("wait", "--for=jsonpath={.spec.replicas}=4", "deployment/api", "--timeout=85s")
    namespace.kubectl("wait", "--for=jsonpath={.status.currentReplicas}=4", "hpa/api", "--timeout=85s")
    shown = namespace.kubectl("get", "hpa", "api").splitlines()[1].split()
    assert shown[:2] == ["api", "Deployment/api"]
    assert shown[-2] == "4"
    said = namespace.kubectl("describe", "hpa", "api")
    assert "New size: 4; reason: cpu resource utilization (percentage of request) above target" in said
    namespace.kubectl("delete", "-f", str(EXAMPLE / "load"))
    namespace.kubectl("wait", "--for=jsonpath={.spec.replicas}=1", "deployment/api", "--timeout=85s")
    assert "reason: All metrics below target" in namespace.kubectl("describe", "hpa", "api")
    namespace.kubectl("delete", "hpa/api")
    namespace.kubectl("delete", "deployment/api", "--cascade=foreground", "--timeout=80s")
