"""Tokens that end: signatures by bootstrap tokens, their removal, and legacy tokens that nobody uses."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import jwt
import pytest
from msgspec.structs import replace

from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.pod import Pod
from kijabi.api.core.reference import ObjectReference
from kijabi.api.core.secret import Secret
from kijabi.api.core.serviceaccount import ServiceAccount
from kijabi.api.core.volume import SecretVolumeSource, Volume
from kijabi.api.meta import ObjectMeta, Time
from kijabi.base import clock
from kijabi.controllers.bootstraptokens import sign, signatures
from kijabi.controllers.config import Config
from kijabi.controllers.flags import Flags
from kijabi.controllers.legacytokens import FOREVER, INVALID_SINCE, LAST_USED, Step, plan
from tests.controllers.stories import simple_pod
from tests.controllers.world import World, play

BOTH = Config(root_ca="CERTIFICATE", host="test", flags=Flags(controllers=("*", "bootstrapsigner", "tokencleaner")))


def bootstrap_token(name: str = "abcdef", **changes: str) -> Secret:
    said = {"token-id": name, "token-secret": "0123456789abcdef", "usage-bootstrap-signing": "true"}
    said |= {key.replace("_", "-"): value for key, value in changes.items()}
    data = {key: value.encode() for key, value in said.items() if value}
    meta = ObjectMeta(name=f"bootstrap-token-{name}", namespace="kube-system")
    return Secret(metadata=meta, type="bootstrap.kubernetes.io/token", data=data)


SECRET = "0123456789abcdef" * 2  # as long as the checking library likes; real ones are half as long


def test_a_signature_is_one_that_joining_machines_can_check() -> None:
    head, empty, mac = sign("content", "abcdef", SECRET).split(".")
    assert empty == ""
    whole = f"{head}.Y29udGVudA.{mac}"
    decoded = jwt.api_jws.decode_complete(whole, SECRET, algorithms=["HS256"])
    assert (decoded["payload"], decoded["header"]) == (b"content", {"alg": "HS256", "kid": "abcdef"})


@pytest.mark.parametrize(
    ("changes", "signs"),
    [
        ({}, True),
        ({"expiration": "2030-01-01T00:00:00Z"}, True),
        ({"expiration": "2020-01-01T00:00:00Z"}, False),
        ({"expiration": "soon"}, False),
        ({"usage_bootstrap_signing": "yes"}, False),
        ({"token_id": "ghijkl"}, False),
        ({"token_secret": ""}, False),
    ],
)
def test_which_tokens_sign(changes: dict[str, str], signs: bool) -> None:
    made = bootstrap_token(**changes)
    at = datetime(2025, 1, 1, tzinfo=UTC).timestamp()
    assert bool(signatures("content", [made], at)) is signs


def test_the_cluster_s_address_is_signed_with_each_token_while_it_lasts() -> None:
    async def story(world: World) -> None:
        info = ConfigMap(metadata=ObjectMeta(name="cluster-info", namespace="kube-public"), data={"kubeconfig": "x"})
        await world.client.create(info)
        end = str(Time.of(clock.now() + timedelta(seconds=600)))
        await world.client.create(bootstrap_token("abcdef"))
        await world.client.create(bootstrap_token("ghijkl", expiration=end))

        async def signed(*tokens: str) -> bool:
            found = await world.client.get(ConfigMap, "cluster-info", "kube-public")
            return set(found.data) == {"kubeconfig", *(f"jws-kubeconfig-{token}" for token in tokens)}

        await world.until(lambda: signed("abcdef", "ghijkl"))
        await world.gone(Secret, "bootstrap-token-ghijkl", "kube-system", 700)
        await world.until(lambda: signed("abcdef"))
        await world.client.delete(Secret, "bootstrap-token-abcdef", "kube-system")
        await world.until(signed)

    play(story, config=BOTH)


YEAR = timedelta(days=365)


def legacy(**labels: str) -> Secret:
    meta = ObjectMeta(
        name="s", namespace="ns", labels=labels, annotations={"kubernetes.io/service-account.name": "a"},
        creationTimestamp=Time.of(datetime(2020, 1, 1, tzinfo=UTC)),
    )  # fmt: skip
    return Secret(metadata=meta, type="kubernetes.io/service-account-token")


ACCOUNT = ServiceAccount(metadata=ObjectMeta(name="a", namespace="ns"), secrets=(ObjectReference(name="s"),))


@pytest.mark.parametrize(
    ("labels", "step", "at"),
    [
        ({}, Step.MARK, datetime(2021, 3, 2, tzinfo=UTC)),
        ({LAST_USED: "2022-05-01"}, Step.MARK, datetime(2023, 5, 2, tzinfo=UTC)),
        ({LAST_USED: "yesterday"}, Step.MARK, FOREVER),
        ({INVALID_SINCE: "2022-05-01"}, Step.DELETE, datetime(2023, 5, 2, tzinfo=UTC)),
        ({INVALID_SINCE: "2022-05-01", LAST_USED: "2022-06-01"}, Step.DELETE, datetime(2023, 6, 2, tzinfo=UTC)),
    ],
)
def test_what_becomes_of_a_legacy_token(labels: dict[str, str], step: Step, at: datetime) -> None:
    assert plan(legacy(**labels), ACCOUNT, date(2020, 3, 1), YEAR) == (step, at)


def test_tokens_that_somebody_asked_for_stay() -> None:
    stranger: Any = ServiceAccount(metadata=ObjectMeta(name="a", namespace="ns"))
    for account, tracked in ((None, date(2020, 1, 1)), (stranger, date(2020, 1, 1)), (ACCOUNT, None)):
        assert plan(legacy(), account, tracked, YEAR)[1] == FOREVER


def test_an_unused_token_is_marked_then_removed_but_not_while_a_pod_has_it() -> None:
    async def story(world: World) -> None:
        account = await world.client.create(ServiceAccount(metadata=ObjectMeta(name="old", namespace="ns")))
        secret = legacy()
        secret.metadata = replace(secret.metadata, annotations={"kubernetes.io/service-account.name": "old"})
        await world.client.create(secret)
        await world.client.update(replace(account, secrets=(ObjectReference(name="s"),)))
        user = simple_pod("user")
        user.spec = replace(user.spec, volumes=(Volume(name="v", secret=SecretVolumeSource(secretName="s")),))
        await world.client.create(user)
        tracking = "kube-apiserver-legacy-service-account-token-tracking"
        since = {"data": {"since": "2020-01-01"}}
        await world.client.patch(ConfigMap, tracking, since, namespace="kube-system")

        async def marked() -> bool:
            return INVALID_SINCE in (await world.client.get(Secret, "s", "ns")).metadata.labels

        await asyncio.sleep(100)
        assert not await marked()
        await world.client.delete(Pod, "user", "ns")
        await world.until(marked)
        old = {"metadata": {"labels": {INVALID_SINCE: "2020-01-01"}}}
        await world.client.patch(Secret, "s", old, namespace="ns")
        await world.gone(Secret, "s", "ns")

    flags = Flags(legacy_service_account_token_clean_up_period=1.0)  # type: ignore[arg-type]
    play(story, config=Config(root_ca="CERTIFICATE", host="test", flags=flags), nodes=0)
