"""Tokens of other issuers: a real issuer over TLS; who they make one, whom they do not, and what a dead issuer does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from kijabi.apiserver.authn import config
from kijabi.apiserver.authn.bearer import Bearer
from kijabi.apiserver.authn.jwts import Issuers
from kijabi.apiserver.flags import Flags, parse
from kijabi.base import clock
from kijabi.base.errors import ConfigError, Unauthorized
from kijabi.base.jws import ALGORITHMS
from kijabi.base.tasks import background
from tests.apiserver.authn.issuers import IssuerServer, issuer_server

OWN = ("https://kubernetes.default.svc",)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[IssuerServer]:
    async with issuer_server(tmp_path) as running:
        yield running


def document(server: IssuerServer, **changes: Any) -> dict[str, Any]:
    issuer = {"url": server.url, "audiences": ["kubernetes"], "certificateAuthority": server.pem}
    issuer.update(changes.pop("issuer", {}))
    mappings = {"username": {"claim": "sub", "prefix": "oidc:"}, **changes.pop("claimMappings", {})}
    return {"issuer": issuer, "claimMappings": mappings, **changes}


def content(*issuers: dict[str, Any], **more: Any) -> bytes:
    head = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration"}
    return yaml.safe_dump({**head, "jwt": list(issuers), **more}).encode()


async def found(issuers: Issuers) -> None:
    for each in issuers._known.values():
        await each.issuer.found.wait()


class Known:
    """Authenticators of a configuration, that have found their issuers."""

    def __init__(self, data: bytes, algorithms: tuple[str, ...] = ALGORITHMS) -> None:
        self.issuers = Issuers(config.of_file(data, OWN), algorithms, OWN, OWN, None)
        self.tokens = Bearer((), (self.issuers,), OWN)

    async def user(self, token: str) -> Any:
        async with background(self.issuers.run()), asyncio.timeout(10):
            await found(self.issuers)
        return (await self.tokens.authenticate(token)).user

    async def problem(self, token: str) -> str:
        with pytest.raises(Unauthorized) as refused:
            await self.user(token)
        return refused.value.message


async def test_claims_make_a_user(server: IssuerServer) -> None:
    known = Known(content(document(
        server,
        claimMappings={
            "username": {"claim": "email", "prefix": ""}, "groups": {"claim": "roles", "prefix": "r:"},
            "uid": {"claim": "uid"},
        },
    )))  # fmt: skip
    user = await known.user(server.sign(email="jane@x.org", roles=["a", "b"], uid="7", jti="j"))
    assert (user.name, user.uid, user.groups) == ("jane@x.org", "7", ("r:a", "r:b"))
    assert user.extra == {"authentication.kubernetes.io/credential-id": ("JTI=j",)}
    assert (await known.user(server.sign(email="joe@x.org", roles="one", uid="8"))).groups == ("r:one",)
    assert await known.problem(server.sign(email="a@x", uid="1", email_verified=False)) == "oidc: email not verified"
    assert "parse username claims" in await known.problem(server.sign(uid="1"))
    assert "cannot unmarshal number" in await known.problem(server.sign(email=3, uid="1"))


async def test_expressions_make_a_user(server: IssuerServer) -> None:
    known = Known(content(document(
        server,
        claimMappings={
            "username": {"expression": "'corp:' + claims.sub"},
            "groups": {"expression": "claims.roles.split(',')"},
            "uid": {"expression": "string(int(claims.number))"},
            "extra": [
                {"key": "example.org/team", "valueExpression": "claims.nested.example__dot__org__slash__team"},
                {"key": "example.org/none", "valueExpression": "claims.?missing.orValue('')"},
            ],
        },
        claimValidationRules=[
            {"claim": "hd", "requiredValue": "x.org"},
            {"expression": "claims.exp - claims.nbf <= 3600.0", "message": "too long a life"},
        ],
        userValidationRules=[
            {"expression": "!user.username.startsWith('system:')", "message": "reserved"},
            {"expression": "user.groups.all(g, !g.startsWith('system:'))", "message": "reserved group"},
        ],
    )))  # fmt: skip
    now = int(clock.wall())
    good: dict[str, Any] = {
        "hd": "x.org", "nbf": now, "exp": now + 60, "number": 12, "roles": "a,b", "nested": {"example.org/team": ["t"]},
    }  # fmt: skip
    user = await known.user(server.sign(**good))
    assert (user.name, user.uid, user.groups) == ("corp:jane", "12", ("a", "b"))
    assert user.extra == {"example.org/team": ("t",)}
    problems: dict[str, dict[str, Any]] = {
        "required claim hd not present in ID token": {"hd": None},
        "required claim hd value does not match. Got = y.org, want = x.org": {"hd": "y.org"},
        "failed: too long a life": {"exp": now + 7200},
        "failed: reserved group": {"roles": "system:masters"},
        "resulted in error: no such key: roles": {"roles": None},
        "expression must return a string or a list of strings": {"nested": {"example.org/team": [1]}},
    }
    for text, changes in problems.items():
        assert text in await known.problem(server.sign(**{**good, **changes}))


async def test_tokens_that_do_not_hold(server: IssuerServer) -> None:
    known = Known(content(document(server)), ("RS256", "ES256"))
    assert (await known.user(server.sign())).name == "oidc:jane"
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    now = int(clock.wall())
    for token, text in (
        (server.sign(aud="other"), 'oidc: verify token: oidc: expected audience "kubernetes" got ["other"]'),
        (server.sign(exp=now - 1), "oidc: verify token: oidc: token is expired"),
        (server.sign(nbf=now + 600), "before the nbf (not before) time"),
        (server.sign(key=stranger), "failed to verify id token signature"),
        (server.sign(kid="two", key=stranger), "failed to verify id token signature"),
        (server.sign(algorithm="PS256"), 'unsupported algorithm, expected ["RS256" "ES256"] got "PS256"'),
        (server.sign(iss="https://elsewhere"), "invalid bearer token"),
        ("a.b.c", "invalid bearer token"),
        ("nonsense", "invalid bearer token"),
    ):
        assert text in await known.problem(token)


async def test_any_of_several_audiences(server: IssuerServer) -> None:
    issuer = {"audiences": ["one", "two"], "audienceMatchPolicy": "MatchAny"}
    known = Known(content(document(server, issuer=issuer)))
    assert (await known.user(server.sign(aud=["x", "two"]))).name == "oidc:jane"
    assert 'expected audience in ["one" "two"] got ["x"]' in await known.problem(server.sign(aud=["x"]))


async def test_new_keys_are_found_and_asked_for_with_measure(
    server: IssuerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Known(content(document(server)))
    await known.user(server.sign())
    server.keys = {"two": ec.generate_private_key(ec.SECP256R1())}
    monkeypatch.setattr("kijabi.apiserver.authn.issuer.REFRESH", 0.0)
    assert (await known.user(server.sign("two"))).name == "oidc:jane"
    monkeypatch.setattr("kijabi.apiserver.authn.issuer.REFRESH", 60.0)
    before = server.asked.count("/keys")
    for number in range(20):
        await known.problem(server.sign(f"unknown {number}", key=server.keys["two"]))
    assert server.asked.count("/keys") == before


async def test_keys_are_not_asked_for_before_their_time(server: IssuerServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kijabi.apiserver.authn.issuer.REFRESH", 0.0)
    server.cache = "public, max-age=3600"
    known = Known(content(document(server)))
    await known.user(server.sign())
    server.keys["two"] = ec.generate_private_key(ec.SECP256R1())
    await known.problem(server.sign("two"))
    assert server.asked.count("/keys") == 1


async def test_an_issuer_that_is_found_late(server: IssuerServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kijabi.apiserver.authn.issuer.RETRY", 0.01)
    server.broken = True
    known = Known(content(document(server, issuer={"discoveryURL": f"{server.url}/moved"})))
    async with background(known.issuers.run()):
        with pytest.raises(Unauthorized, match="oidc: authenticator not initialized"):
            await known.tokens.authenticate(server.sign())
        server.broken = False
        async with asyncio.timeout(10):
            await found(known.issuers)
        assert (await known.tokens.authenticate(server.sign())).user.name == "oidc:jane"
    assert "/moved" in server.asked


async def test_a_slow_issuer_holds_up_only_its_own(server: IssuerServer, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    async with issuer_server(folder) as other:
        known = Known(content(document(server), document(other)))
        await known.user(server.sign())
        await known.user(other.sign())
        server.gate = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            stuck = [tasks.create_task(known.problem(server.sign(f"k{n}", key=other.keys["one"]))) for n in range(50)]
            assert (await known.user(other.sign(sub="joe"))).name == "oidc:joe"
            assert (await known.user(server.sign(sub="ann"))).name == "oidc:ann", "known keys need nobody"
            server.gate.set()
        assert {task.result() for task in stuck} == {
            "oidc: verify token: failed to verify signature: failed to verify id token signature"
        }


async def test_distributed_claims(server: IssuerServer, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Known(content(document(server, claimMappings={"groups": {"claim": "groups", "prefix": ""}})))
    server.pages["/groups Bearer secret"] = server.sign(groups=["far"])
    sources = {"there": {"endpoint": f"{server.url}/groups", "access_token": "secret"}}
    pointing: dict[str, Any] = {"_claim_names": {"groups": "there"}, "_claim_sources": sources}
    assert (await known.user(server.sign(**pointing))).groups == ("far",)
    assert (await known.user(server.sign(groups=["near"], **pointing))).groups == ("near",)
    sources["there"]["access_token"] = "wrong"
    assert "while getting distributed claim" in await known.problem(server.sign(**pointing))
    assert "no claim sources" in await known.problem(server.sign(_claim_names={"groups": "there"}))


async def test_the_file_is_taken_up_when_it_changes(server: IssuerServer, tmp_path: Path) -> None:
    path = tmp_path / "authentication.yaml"
    path.write_bytes(content(document(server)))
    changed = asyncio.Event()
    issuers = Issuers(config.of_file(path.read_bytes(), OWN), ALGORITHMS, OWN, OWN, path, changed.set)
    async with background(issuers.run()), asyncio.timeout(10):
        await found(issuers)
        assert await issuers.authenticate_token(server.sign())
        path.write_bytes(b"kind: nonsense")
        new = tmp_path / "new"
        new.write_bytes(content(document(server, claimMappings={"username": {"claim": "sub", "prefix": "new:"}})))
        new.rename(path)
        await changed.wait()
        answer = await issuers.authenticate_token(server.sign())
        assert answer is not None
        assert answer.user.name == "new:jane"


def flags(**given: Any) -> Flags:
    return parse([f"{name.replace('_', '-')}={value}" for name, value in given.items()])


async def test_flags_describe_one_issuer(server: IssuerServer, tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text(server.pem)
    given = flags(
        oidc_issuer_url=server.url, oidc_client_id="kubernetes", oidc_ca_file=authority, oidc_groups_claim="groups",
        oidc_groups_prefix="g:", oidc_required_claim="hd=x.org",
    )  # fmt: skip
    issuers = Issuers(config.of_flags(given, OWN), ("RS256",), OWN, OWN, None)
    async with background(issuers.run()), asyncio.timeout(10):
        await found(issuers)
        answer = await issuers.authenticate_token(server.sign(groups=["a"], hd="x.org"))
    assert answer is not None
    assert (answer.user.name, answer.user.groups) == (f"{server.url}#jane", ("g:a",))
    for wrong, words in (
        ({"oidc_issuer_url": server.url}, "must be specified together"),
        ({"oidc_issuer_url": "http://x", "oidc_client_id": "k"}, "URL scheme must be https"),
        ({"oidc_issuer_url": OWN[0], "oidc_client_id": "k"}, "must not overlap with disallowed issuers"),
        (
            {"oidc_issuer_url": server.url, "oidc_client_id": "k", "oidc_signing_algs": "none"},
            "unsupported signing alg",
        ),
        ({"oidc_issuer_url": server.url, "oidc_client_id": "k", "authentication_config": authority}, "exclusive"),
    ):
        with pytest.raises(ConfigError, match=words):
            config.of_flags(flags(**wrong), OWN)


WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({"issuer": {"url": ""}}, "jwt[0].issuer.url: Required value"),
    ({"issuer": {"url": "https://u:p@h/?q#f"}}, "URL must not contain a username or password"),
    ({"issuer": {"audiences": []}}, "jwt[0].issuer.audiences: Required value: at least one jwt[0].issuer.audiences"),
    ({"issuer": {"audiences": ["a", "b"]}}, "audienceMatchPolicy must be MatchAny for multiple audiences"),
    ({"issuer": {"certificateAuthority": "x"}}, 'certificateAuthority: Invalid value: "<omitted>"'),
    ({"claimMappings": {"username": {}}}, "claimMappings.username: Required value: claim or expression is required"),
    ({"claimMappings": {"username": {"claim": "sub"}}}, "prefix is required when claim is set"),
    ({"claimMappings": {"username": {"expression": "claims.email"}}}, "claims.email_verified must be used in"),
    ({"claimMappings": {"uid": {"expression": "nope"}}}, "compilation failed: ERROR: <input>:1:1: undeclared"),
    ({"claimMappings": {"extra": [{"key": "x", "valueExpression": "''"}]}}, "must be a domain-prefixed path"),
    ({"claimMappings": {"extra": [{"key": "k8s.io/x", "valueExpression": "''"}]}}, "reserved for Kubernetes use"),
    ({"claimValidationRules": [{"expression": "claims.sub"}]}, "must evaluate to bool"),
    ({"claimValidationRules": [{}]}, "claimValidationRules[0]: Required value: claim or expression is required"),
    ({"userValidationRules": [{"expression": "user.name == ''"}]}, "undefined field 'name'"),
    ({"wrong": 1}, 'strict decoding error: unknown field "jwt[0].wrong"'),
)  # fmt: skip


@pytest.mark.parametrize(("changes", "text"), WRONG)
async def test_what_a_file_must_not_say(server: IssuerServer, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config.of_file(content(document(server, **changes)), OWN)
    assert text in str(refused.value)


async def test_verified_addresses_are_looked_for_in_all_expressions(server: IssuerServer) -> None:
    username = {"username": {"expression": "claims.email"}}
    extra = [{"key": "x.org/v", "valueExpression": "string(claims.email_verified)"}]
    rule = {"expression": "claims.?email_verified.orValue(true) == true"}
    config.of_file(content(document(server, claimMappings=username, claimValidationRules=[rule])), OWN)
    config.of_file(content(document(server, claimMappings={**username, "extra": extra})), OWN)
