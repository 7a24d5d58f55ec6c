"""Tokens that files, Secrets and webhooks know: real files, objects of the caches, a webhook server over TLS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from kijabi.api.core.secret import Secret
from kijabi.api.core.serviceaccount import ServiceAccount
from kijabi.api.meta import ObjectMeta
from kijabi.apiserver.attributes import UserInfo
from kijabi.apiserver.authn import tokenfile
from kijabi.apiserver.authn.bearer import Bearer
from kijabi.apiserver.authn.bootstrap import BootstrapTokens
from kijabi.apiserver.authn.legacy import INVALID_SINCE, LAST_USED, LegacyTokens
from kijabi.apiserver.authn.serviceaccounts import TokenAuthenticator
from kijabi.apiserver.authn.tokens import LEGACY_ISSUER, Keys
from kijabi.apiserver.authn.webhook import WebhookTokens
from kijabi.base import clock
from kijabi.base.errors import ConfigError, Unauthorized
from kijabi.base.jws import key_id
from kijabi.client.kubeconfig import Identity, save
from kijabi.testing.objects import Objects
from tests.apiserver.hookserver import HookServer, hook_server

OWN = ("https://kubernetes.default.svc",)


# Static tokens


async def test_static_tokens(tmp_path: Path) -> None:
    path = tmp_path / "tokens.csv"
    path.write_text('secret,jane,7,"dev,ops"\n"other",joe,8\n,nobody,9\n\nsecret2,ann,10,\n')
    tokens = Bearer((tokenfile.StaticTokens(tokenfile.read(path), OWN),), (), OWN)
    assert await tokens.authenticate("secret") == (UserInfo("jane", "7", ("dev", "ops")), OWN)
    assert (await tokens.authenticate("other")).user == UserInfo("joe", "8")
    assert (await tokens.authenticate("secret2")).user.groups == ("",)
    assert (await tokens.authenticate("secret", ("x", *OWN))).audiences == OWN
    for token, audiences in (("", ()), ("wrong", ()), ("secret", ("vault",))):
        with pytest.raises(Unauthorized, match="invalid bearer token"):
            await tokens.authenticate(token, audiences)


@pytest.mark.parametrize(
    ("content", "words"),
    [("a,b\n", "must have at least 3 columns .* found 2"), ('a,"b,c\n', "cannot read the token file")],
)
def test_token_files_that_cannot_be_read(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "tokens.csv"
    path.write_text(content)
    with pytest.raises(ConfigError, match=words):
        tokenfile.read(path)
    with pytest.raises(ConfigError, match="cannot read the token file"):
        tokenfile.read(tmp_path / "none")


# Tokens in Secrets


def bootstrap(**changes: Any) -> Secret:
    data = {
        "token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true",
        "auth-extra-groups": "system:bootstrappers:x", **changes.pop("data", {}),
    }  # fmt: skip
    encoded = {key: value.encode() for key, value in data.items()}
    meta = ObjectMeta(name="bootstrap-token-abcdef", namespace="kube-system")
    return Secret(metadata=meta, type=changes.pop("type", "bootstrap.kubernetes.io/token"), data=encoded)


async def test_bootstrap_tokens() -> None:
    objects = Objects(bootstrap())
    tokens = Bearer((BootstrapTokens(objects, OWN),), (), OWN)
    user = (await tokens.authenticate("abcdef.0123456789abcdef")).user
    assert (user.name, user.groups) == (
        "system:bootstrap:abcdef", ("system:bootstrappers", "system:bootstrappers:x"),
    )  # fmt: skip
    for wrong in (
        bootstrap(type="Opaque"),
        bootstrap(data={"usage-bootstrap-authentication": "false"}),
        bootstrap(data={"expiration": "2020-01-01T00:00:00Z"}),
        bootstrap(data={"expiration": "tomorrow"}),
        bootstrap(data={"auth-extra-groups": "system:masters"}),
        bootstrap(data={"token-secret": "fedcba9876543210"}),
    ):
        objects.put(wrong)
        with pytest.raises(Unauthorized):
            await tokens.authenticate("abcdef.0123456789abcdef")


KEY = ec.generate_private_key(ec.SECP256R1())


def legacy(secret: str = "robot-token", **changes: str) -> str:
    prefix = "kubernetes.io/serviceaccount/"
    claims = {
        "iss": LEGACY_ISSUER, "sub": "system:serviceaccount:ns:robot", f"{prefix}namespace": "ns",
        f"{prefix}secret.name": secret, f"{prefix}service-account.name": "robot",
        f"{prefix}service-account.uid": "sa-1", **changes,
    }  # fmt: skip
    return jwt.encode(claims, KEY, algorithm="ES256", headers={"kid": key_id(KEY.public_key())})


class Kept:
    """A token that is kept in a Secret."""

    def __init__(self, **labels: str) -> None:
        self.token = legacy()
        self.secret = Secret(
            metadata=ObjectMeta(name="robot-token", namespace="ns", uid="s-1", labels=labels),
            type="kubernetes.io/service-account-token",
            data={"token": self.token.encode()},
        )
        self.objects = Objects(
            ServiceAccount(metadata=ObjectMeta(name="robot", namespace="ns", uid="sa-1")), self.secret
        )
        self.legacy = LegacyTokens(self.objects)
        self.tokens = Bearer((TokenAuthenticator(Keys(KEY), self.objects, OWN, OWN, self.legacy),), (), OWN)

    async def problem(self, token: str = "") -> str:
        with pytest.raises(Unauthorized) as refused:
            await self.tokens.authenticate(token or self.token)
        return refused.value.message


async def test_tokens_kept_in_secrets() -> None:
    kept = Kept()
    found = await kept.tokens.authenticate(kept.token)
    assert found.audiences == OWN
    assert (found.user.name, found.user.uid) == ("system:serviceaccount:ns:robot", "sa-1")
    assert await kept.problem(legacy(sub="system:serviceaccount:ns:other")) == "sub claim is invalid"
    assert await kept.problem(legacy(secret="")) == "secretName claim is missing"
    assert await kept.problem(legacy(extra="1")) == "Token does not match server's copy"
    kept.objects.put(ServiceAccount(metadata=ObjectMeta(name="robot", namespace="ns", uid="sa-2")))
    assert await kept.problem() == "ServiceAccount UID (sa-2) does not match claim (sa-1)"
    kept.objects.delete(Secret, "robot-token", "ns")
    assert await kept.problem() == "Token has been invalidated"


async def test_use_of_a_kept_token_is_noted_once_a_day() -> None:
    kept = Kept()
    await kept.tokens.authenticate(kept.token)
    await kept.tokens.authenticate(kept.token)
    assert list(kept.legacy.waiting) == [("ns", "robot-token", "s-1")]
    today = Kept(**{LAST_USED: f"{clock.now():%Y-%m-%d}"})
    await today.tokens.authenticate(today.token)
    assert not today.legacy.waiting


async def test_an_invalidated_token_says_what_to_do() -> None:
    kept = Kept(**{INVALID_SINCE: "2026-01-01"})
    text = await kept.problem()
    assert text.startswith("the token in secret ns/robot-token for service account ns/robot has been marked invalid.")
    assert text.endswith(
        f"or remove the '{INVALID_SINCE}' label from the secret to temporarily allow use of this token"
    )
    assert kept.legacy.waiting, "also this use is noted"


# Several keys


@pytest.mark.parametrize("key", [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())])
def test_keys_of_other_kinds_sign_too(key: Any) -> None:
    from tests.apiserver.authn.test_authn import KEYS, token

    claims = KEYS.verify(token(), ("https://kubernetes.default.svc.cluster.local",))
    old, new = Keys(key), Keys(KEY, (key.public_key(),))
    signed = old.sign(claims)  # type: ignore[arg-type]
    assert new.verify(signed, (claims.iss,)) == claims  # type: ignore[union-attr]
    assert len(new.algorithms) == 2
    with pytest.raises(Unauthorized, match="invalid signature, no keys found"):
        Keys(KEY).verify(signed, (claims.iss,))  # type: ignore[union-attr]


# Webhooks


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[HookServer]:
    async with hook_server(tmp_path) as running:
        yield running


def webhook(server: HookServer, folder: Path, version: str = "v1", seconds: float = 60.0) -> WebhookTokens:
    path = folder / "webhook.kubeconfig"
    url = f"https://localhost:{server.port}/authenticate"
    save(path, Identity(server=url, ca=server.authority.pem.decode(), token="mine"), user="apiserver")
    return WebhookTokens(path, version, OWN, seconds)


def answer(review: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {"apiVersion": review["apiVersion"], "kind": "TokenReview", "status": status}


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
async def test_a_webhook_knows_tokens(server: HookServer, tmp_path: Path, version: str) -> None:
    user = {"username": "jane", "uid": "7", "groups": ["dev"], "extra": {"a": ["b"]}}

    def decide(review: dict[str, Any]) -> dict[str, Any]:
        match review["spec"]["token"]:
            case "good":
                return answer(review, authenticated=True, user=user)
            case "vault":
                return answer(review, authenticated=True, user=user, audiences=["vault"])
            case "why":
                return answer(review, authenticated=False, error="no such token")
        return answer(review, authenticated=False)

    server.answers["/authenticate"] = decide
    tokens = Bearer((), (webhook(server, tmp_path, version),), OWN)
    found = await tokens.authenticate("good")
    assert found == (UserInfo("jane", "7", ("dev",), {"a": ("b",)}), OWN)
    assert (await tokens.authenticate("good")) == found
    path, review = server.asked[0]
    assert (path, review["apiVersion"], review["spec"]["audiences"]) == (
        "/authenticate", f"authentication.k8s.io/{version}", list(OWN),
    )  # fmt: skip
    assert len(server.asked) == 1, "the answer was remembered"
    assert (await tokens.authenticate("vault", ("vault",))).audiences == ("vault",)
    for token, text in (("why", "no such token"), ("bad", "invalid bearer token"), ("vault", "invalid bearer token")):
        with pytest.raises(Unauthorized, match=text):
            await tokens.authenticate(token)
    asked = len(server.asked)
    with pytest.raises(Unauthorized):
        await tokens.authenticate("bad")
    assert len(server.asked) == asked, "that it does not know a token is remembered too"


async def test_many_who_show_one_token_ask_once(server: HookServer, tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def decide(review: dict[str, Any]) -> dict[str, Any]:
        await gate.wait()
        return answer(review, authenticated=True, user={"username": "jane"})

    server.answers["/authenticate"] = decide
    tokens = Bearer((), (webhook(server, tmp_path),), OWN)
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(tokens.authenticate("t"))
        waiting = [tasks.create_task(tokens.authenticate("t")) for _ in range(20)]
        while not server.asked:  # noqa: ASYNC110  the server says nothing of its own accord
            await asyncio.sleep(0.001)
        first.cancel()
        gate.set()
    assert {task.result().user.name for task in waiting} == {"jane"}
    assert len(server.asked) <= 2, "when the first gives up, one of the others asks"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (web.Response(status=403, text="go away"), "go away"),
        (web.Response(status=200, text="{"), "unexpected end of JSON input"),
        (web.json_response({"kind": "Pod", "apiVersion": "v1"}), 'kind "Pod", not "TokenReview"'),
    ],
)
async def test_a_webhook_that_answers_wrong_lets_nobody_in(
    server: HookServer, tmp_path: Path, said: web.Response, words: str
) -> None:
    server.answers["/authenticate"] = lambda review: said
    with pytest.raises(Unauthorized, match=words):
        await webhook(server, tmp_path).authenticate_token("t")


async def test_a_dead_webhook_lets_nobody_in(server: HookServer, tmp_path: Path) -> None:
    hook = webhook(server, tmp_path)
    free, server.port = server.port, 1
    dead = webhook(server, tmp_path)
    server.port = free
    with pytest.raises(Unauthorized, match="connect: connection refused"):
        await dead.authenticate_token("t")
    server.answers["/authenticate"] = lambda review: answer(review, authenticated=True, user={"username": "x"})
    assert await hook.authenticate_token("t")


async def test_a_failure_that_may_pass_is_not_the_last_word(
    server: HookServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kijabi.apiserver.webhooks.calls.FIRST_DELAY", 0.001)
    replies: list[Any] = [web.Response(status=500), web.Response(status=429)]
    server.answers["/authenticate"] = lambda review: (
        replies.pop(0) if replies else answer(review, authenticated=True, user={"username": "jane"})
    )
    found = await webhook(server, tmp_path).authenticate_token("t")
    assert found is not None
    assert found.user.name == "jane"
