"""Tokens in Secrets: they are filled in, and go with their account."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec

from kijabi.api.core.secret import Secret
from kijabi.api.core.serviceaccount import ServiceAccount
from kijabi.api.meta import ObjectMeta
from kijabi.base import jws
from kijabi.controllers import serviceaccounttokens as tokens

KEY = ec.generate_private_key(ec.SECP256R1())
ROBOT = ServiceAccount(metadata=ObjectMeta(name="robot", namespace="ns", uid="u1"))


def secret(**data: bytes) -> Secret:
    meta = ObjectMeta(name="t", namespace="ns", annotations={tokens.NAME: "robot"})
    return Secret(metadata=meta, type=tokens.TYPE, data=data)


def test_a_secret_is_filled_in_once() -> None:
    filled = tokens.plan(secret(other=b"x"), ROBOT, "CA", KEY)
    assert filled is not None
    assert filled.metadata.annotations[tokens.UID] == "u1"
    assert {key: bytes(value) for key, value in filled.data.items() if key != "token"} == {
        "ca.crt": b"CA", "namespace": b"ns", "other": b"x",
    }  # fmt: skip
    token = bytes(filled.data["token"]).decode()
    parsed = jws.parse(token)
    assert parsed is not None
    jws.verify(token, parsed.algorithm, [KEY.public_key()])
    assert b'"sub":"system:serviceaccount:ns:robot"' in parsed.payload
    assert tokens.plan(filled, ROBOT, "CA", KEY) is None
    renewed = tokens.plan(filled, ROBOT, "another CA", KEY)
    assert renewed is not None
    assert renewed.data["token"] == filled.data["token"]


def test_whose_a_secret_is() -> None:
    assert tokens.belongs(secret(), ROBOT)
    filled = tokens.plan(secret(), ROBOT, "CA", KEY)
    assert filled is not None
    other = ServiceAccount(metadata=ObjectMeta(name="robot", namespace="ns", uid="u2"))
    assert not tokens.belongs(filled, other)
    assert not tokens.belongs(filled, None)
