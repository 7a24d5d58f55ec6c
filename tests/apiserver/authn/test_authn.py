"""Authentication: who is let in as whom, and that nothing a stranger sends does more than 401."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from kijabi.api.core.pod import Pod
from kijabi.api.core.serviceaccount import ServiceAccount
from kijabi.api.meta import ObjectMeta, Time
from kijabi.api.rbac.clusterrole import ClusterRole
from kijabi.api.rbac.clusterrolebinding import ClusterRoleBinding
from kijabi.api.rbac.role import PolicyRule
from kijabi.api.rbac.rolebinding import RoleRef, Subject
from kijabi.apiserver import pki
from kijabi.apiserver.attributes import Peer, UserInfo
from kijabi.apiserver.authn import oidc
from kijabi.apiserver.authn.bearer import Bearer
from kijabi.apiserver.authn.certificates import CertificateAuthenticator
from kijabi.apiserver.authn.chain import Authentication
from kijabi.apiserver.authn.serviceaccounts import TokenAuthenticator
from kijabi.apiserver.authn.tokens import Claims, Keys, Kubernetes, Named
from kijabi.apiserver.authz.rbac import Rbac
from kijabi.apiserver.authz.union import Union
from kijabi.base import clock
from kijabi.base.errors import BadRequest, Forbidden, Unauthorized
from kijabi.client.transport import Request
from kijabi.testing.objects import Objects

ISSUER = "https://kubernetes.default.svc.cluster.local"
NOBODY = Peer()
KEYS = Keys(ec.generate_private_key(ec.SECP256R1()))


class World:
    """A cluster's worth of authentication."""

    def __init__(self, directory: Path) -> None:
        self.pki = pki.Pki(directory)
        self.objects = Objects(
            ServiceAccount(metadata=ObjectMeta(name="robot", namespace="ns", uid="sa-1")),
            Pod(metadata=ObjectMeta(name="p", namespace="ns", uid="pod-1")),
            ClusterRole(
                metadata=ObjectMeta(name="mask"),
                rules=(
                    PolicyRule(
                        verbs=("impersonate",), apiGroups=("",), resources=("users", "groups", "serviceaccounts")
                    ),
                    PolicyRule(
                        verbs=("impersonate",),
                        apiGroups=("authentication.k8s.io",),
                        resources=("userextras/team", "uids"),
                    ),
                ),
            ),
            ClusterRoleBinding(
                metadata=ObjectMeta(name="mask"),
                roleRef=RoleRef(kind="ClusterRole", name="mask"),
                subjects=(Subject(kind="User", name="actor"),),
            ),
        )
        rbac = Rbac()
        rbac.start(self.objects)
        self.authorizer = Union((rbac,))
        tokens = Bearer((TokenAuthenticator(KEYS, self.objects, (ISSUER,), (ISSUER,)),), (), (ISSUER,))
        certificates = CertificateAuthenticator.from_file(self.pki.ca.pair.cert)
        self.authn = Authentication(certificates, tokens, self.authorizer)

    def peer(self, identity: pki.Identity, authority: pki.Authority | None = None) -> Peer:
        pair = self.pki.client("-".join((identity.user, *identity.groups)).replace(":", "_"), identity, authority)
        return Peer(cert_der=pki.load_cert(pair.cert).public_bytes(serialization.Encoding.DER))

    async def user(self, headers: dict[str, str] | None = None, peer: Peer = NOBODY) -> UserInfo | None:
        return await self.authn.authenticate(Request(method="GET", path="/", headers=headers or {}), peer)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("pki"))


def token(**changes: object) -> str:
    now = int(clock.wall())
    claims = Claims(
        iss=ISSUER,
        sub="system:serviceaccount:ns:robot",
        aud=(ISSUER,),
        exp=now + 600,
        iat=now,
        nbf=now,
        jti="j",
        kubernetes=Kubernetes(namespace="ns", serviceaccount=Named("robot", "sa-1"), pod=Named("p", "pod-1")),
    )
    return KEYS.sign(msgspec.structs.replace(claims, **changes))


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


async def test_certificate(world: World) -> None:
    user = await world.user(peer=world.peer(pki.Identity("jane", ("dev", "ops"))))
    assert user is not None
    assert (user.name, user.groups) == ("jane", ("dev", "ops", "system:authenticated"))


async def test_anonymous(world: World) -> None:
    user = await world.user()
    assert user == UserInfo("system:anonymous", groups=("system:unauthenticated",))


async def test_foreign_and_expired_certificates(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unauthorized, match="Unauthorized"):
        await world.user(peer=world.peer(pki.Identity("eve"), world.pki.front_proxy_ca))
    serving = world.pki.apiserver("10.96.0.1")
    der = pki.load_cert(serving.cert).public_bytes(serialization.Encoding.DER)
    with pytest.raises(Unauthorized):
        await world.user(peer=Peer(cert_der=der))
    jane = world.peer(pki.Identity("jane"))
    assert await world.user(peer=jane)
    late = clock.wall() + 400 * 86400
    monkeypatch.setattr("kijabi.apiserver.authn.certificates.clock.wall", lambda: late)
    with pytest.raises(Unauthorized):
        await world.user(peer=jane)


async def test_service_account_token(world: World) -> None:
    headers = bearer(token())
    user = await world.user(headers)
    assert user is not None
    assert user.name == "system:serviceaccount:ns:robot"
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated")
    assert user.extra["authentication.kubernetes.io/pod-name"] == ("p",)
    assert user.extra["authentication.kubernetes.io/credential-id"] == ("JTI=j",)
    assert "authorization" not in headers, "a token must not travel on"


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1},
        {"nbf": 2**40},
        {"iat": 2**40},
        {"aud": ("vault",)},
        {"iss": "https://elsewhere"},
        {"kubernetes": Kubernetes(namespace="ns", serviceaccount=Named("robot", "sa-2"))},
        {"kubernetes": Kubernetes(namespace="ns", serviceaccount=Named("gone", "sa-1"))},
        {"kubernetes": Kubernetes(namespace="ns", serviceaccount=Named("robot", "sa-1"), pod=Named("p", "pod-2"))},
        {"kubernetes": Kubernetes(namespace="ns", serviceaccount=Named("robot", "sa-1"), secret=Named("s", "1"))},
        {"kubernetes": Kubernetes(namespace="ns", serviceaccount=Named("robot", "sa-1"), node=Named("n", "1"))},
    ],
)
async def test_tokens_that_do_not_hold(world: World, changes: dict[str, object]) -> None:
    with pytest.raises(Unauthorized, match=r"^Unauthorized$"):
        await world.user(bearer(token(**changes)))


async def test_token_ends_with_its_pod(tmp_path: Path) -> None:
    world = World(tmp_path)
    text = token()
    assert await world.user(bearer(text))
    going = Pod(
        metadata=ObjectMeta(name="p", namespace="ns", uid="pod-1", deletionTimestamp=Time("2020-01-01T00:00:00Z"))
    )
    world.objects.put(going)
    with pytest.raises(Unauthorized):
        await world.user(bearer(text))
    world.objects.delete(Pod, "p", "ns")
    with pytest.raises(Unauthorized):
        await world.user(bearer(text))


async def test_token_signed_by_another_key(world: World) -> None:
    stranger = Keys(ec.generate_private_key(ec.SECP256R1()))
    claims = KEYS.verify(token(), (ISSUER,))
    assert isinstance(claims, Claims)
    with pytest.raises(Unauthorized):
        await world.user(bearer(stranger.sign(claims)))
    head, payload, _ = token().split(".")
    with pytest.raises(Unauthorized):
        await world.user(bearer(f"{head}.{payload}."))
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    with pytest.raises(Unauthorized):
        await world.user(bearer(f"{none}.{payload}."))


async def test_websocket_token(world: World) -> None:
    encoded = base64.urlsafe_b64encode(token().encode()).rstrip(b"=").decode()
    protocol = f"v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.{encoded}"
    headers = {"upgrade": "websocket", "connection": "Upgrade", "sec-websocket-protocol": protocol}
    user = await world.user(headers)
    assert user is not None
    assert user.name == "system:serviceaccount:ns:robot"
    assert headers["sec-websocket-protocol"] == "v5.channel.k8s.io"


async def test_impersonation(world: World) -> None:
    actor = world.peer(pki.Identity("actor"))
    headers = {
        "impersonate-user": "jane",
        "impersonate-group": "dev\nops",
        "impersonate-extra-team": "blue",
        "impersonate-uid": "7",
    }
    user = await world.user(headers, actor)
    assert user == UserInfo("jane", "7", ("dev", "ops", "system:authenticated"), {"team": ("blue",)})
    assert headers == {}
    robot = await world.user({"impersonate-user": "system:serviceaccount:ns:robot"}, actor)
    assert robot is not None
    assert "system:serviceaccounts:ns" in robot.groups
    with pytest.raises(Forbidden) as refused:
        await world.user({"impersonate-user": "jane"}, world.peer(pki.Identity("joe")))
    assert refused.value.message == 'forbidden: User "joe" cannot impersonate-on:user-info:get path "/"'
    with pytest.raises(Forbidden):
        await world.user({"impersonate-user": "jane", "impersonate-extra-secret": "x"}, actor)
    with pytest.raises(BadRequest):
        await world.user({"impersonate-group": "dev"}, actor)


def test_discovery() -> None:
    import jwt

    document = msgspec.json.decode(oidc.key_set(KEYS).body)
    key = jwt.PyJWK(document["keys"][0])
    kid = jwt.get_unverified_header(token())["kid"]
    assert document["keys"][0]["kid"] == kid
    assert jwt.decode(token(), key, algorithms=["ES256"], audience=ISSUER)["iss"] == ISSUER
    about = msgspec.json.decode(oidc.configuration(ISSUER, "https://10.0.0.1:6443/openid/v1/jwks", KEYS).body)
    assert about["jwks_uri"] == "https://10.0.0.1:6443/openid/v1/jwks"


header_text = st.text(st.characters(codec="latin-1"), max_size=60)
texts = st.one_of(
    header_text,
    st.builds(".".join, st.lists(header_text, min_size=3, max_size=3)),
    st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode()),
    st.builds(lambda cut, extra: token()[:cut] + extra, st.integers(0, 500), header_text),
    st.builds(
        lambda payload: "e30." + base64.urlsafe_b64encode(payload).rstrip(b"=").decode() + ".e30",
        st.one_of(
            st.just(b'{"iss":"%s"}' % ISSUER.encode()),
            st.just(b'{"iss":' + b"[" * 5000),
            st.just(b'{"iss":"%s","kubernetes.io":3,"aud":{}}' % ISSUER.encode()),
        ),
    ),
)


@settings(max_examples=300, deadline=None)
@given(text=texts, scheme=st.sampled_from(["Bearer", "bearer", "Basic", ""]))
def test_any_header_is_refused_or_ignored(world: World, text: str, scheme: str) -> None:
    async def go() -> None:
        headers = {"authorization": f"{scheme} {text}"}
        try:
            user = await world.user(headers)
        except Unauthorized:
            return
        assert user is not None
        assert user.name in ("system:anonymous", "system:serviceaccount:ns:robot")

    asyncio.run(go())


@settings(max_examples=200, deadline=None)
@given(der=st.binary(max_size=400), at=st.integers(0, 600), flip=st.integers(0, 255))
def test_any_certificate_is_refused(world: World, der: bytes, at: int, flip: int) -> None:
    async def go() -> None:
        with pytest.raises(Unauthorized):
            await world.user(peer=Peer(cert_der=der))
        whole = bytearray(world.peer(pki.Identity("jane")).cert_der or b"")
        position = at % len(whole)
        whole[position] ^= flip
        try:
            user = await world.user(peer=Peer(cert_der=bytes(whole)))
        except Unauthorized:
            return
        assert user is not None
        assert user.name == "jane"

    asyncio.run(go())
