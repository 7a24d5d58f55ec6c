"""The certificates: made once, kept, renewed before they end, refused when they are not ours."""

from __future__ import annotations

import asyncio
import os
import ssl
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from kijabi.apiserver import pki
from kijabi.base.errors import ConfigError


def make(directory: Path) -> tuple[pki.Pki, pki.Pair]:
    store = pki.Pki(directory)
    return store, store.apiserver("10.96.0.1", ["192.0.2.7"], ["box"])


def test_serving_certificate_has_every_name(tmp_path: Path) -> None:
    _, pair = make(tmp_path)
    names = pki.load_cert(pair.cert).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        "box",
    }
    assert {str(each) for each in names.get_values_for_type(x509.IPAddress)} == {
        "10.96.0.1",
        "127.0.0.1",
        "::1",
        "192.0.2.7",
    }


def test_second_start_changes_nothing(tmp_path: Path) -> None:
    store, pair = make(tmp_path)
    store.service_account_key()
    store.node_client("n1")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    again, _ = make(tmp_path)
    again.service_account_key()
    again.node_client("n1")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert again.generation == 0
    assert pair.key in before


def test_secrets_are_for_their_owner_only(tmp_path: Path) -> None:
    store, _ = make(tmp_path / "pki")
    store.service_account_key()
    store.client("admin", pki.ADMIN)
    for key in (tmp_path / "pki").rglob("*.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600, key
    assert stat.S_IMODE((tmp_path / "pki").stat().st_mode) == 0o700


def test_identity_becomes_subject(tmp_path: Path) -> None:
    store, _ = make(tmp_path)
    cert = pki.load_cert(store.node_client("n1").cert)
    assert cert.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value == "system:node:n1"
    assert cert.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)[0].value == "system:nodes"
    assert store.ca.signed(cert)
    assert not store.front_proxy_ca.signed(cert)


def test_renewed_before_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, pair = make(tmp_path)
    old = pki.load_cert(pair.cert)
    late = pki.clock.now() + timedelta(days=300)
    monkeypatch.setattr(pki.clock, "now", lambda: late)
    renewer_calls: list[str] = []
    renewer = pki.Renewer(store, lambda: make_again(store), lambda: renewer_calls.append("reload"))
    assert renewer.check()
    new = pki.load_cert(pair.cert)
    assert new.serial_number != old.serial_number
    assert new.not_valid_after_utc > old.not_valid_after_utc
    assert renewer_calls == ["reload"]
    assert not renewer.check()


def make_again(store: pki.Pki) -> None:
    store.apiserver("10.96.0.1", ["192.0.2.7"], ["box"])


def test_new_names_and_damaged_files_are_mended(tmp_path: Path) -> None:
    store, pair = make(tmp_path)
    first = pair.cert.read_bytes()
    store.apiserver("10.96.0.1", ["192.0.2.8"], ["box"])
    assert pair.cert.read_bytes() != first
    pair.cert.write_bytes(os.urandom(100))
    pair.key.write_bytes(b"")
    store.apiserver("10.96.0.1", ["192.0.2.8"], ["box"])
    assert store.ca.signed(pki.load_cert(pair.cert))


def test_authority_renewal_keeps_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, pair = make(tmp_path)
    late = pki.clock.now() + timedelta(days=3000)
    monkeypatch.setattr(pki.clock, "now", lambda: late)
    again = pki.Pki(tmp_path)
    assert again.ca.cert.serial_number != store.ca.cert.serial_number
    assert again.ca.signed(pki.load_cert(pair.cert))


def test_mismatched_authority_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "a")
    make(tmp_path / "b")
    (tmp_path / "a" / "ca.crt").write_bytes((tmp_path / "b" / "ca.crt").read_bytes())
    with pytest.raises(ConfigError, match="do not belong together"):
        pki.Pki(tmp_path / "a")


def test_kubeconfig_keeps_what_a_user_added(tmp_path: Path) -> None:
    import yaml

    store, _ = make(tmp_path)
    pair = store.client("admin", pki.ADMIN)
    content = pki.kubeconfig("https://127.0.0.1:6443", store.ca.pair.cert, pair, "admin", embed=True)
    path = tmp_path / "kubeconfig"
    pki.ensure_kubeconfig(path, content)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    loaded = yaml.safe_load(content)
    assert loaded["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"
    path.write_bytes(content.replace(b"cluster: kijabi\n    user", b"cluster: kijabi\n    namespace: dev\n    user"))
    pki.ensure_kubeconfig(path, content)
    assert b"namespace: dev" in path.read_bytes()
    moved = pki.kubeconfig("https://127.0.0.1:7443", store.ca.pair.cert, pair, "admin", embed=True)
    pki.ensure_kubeconfig(path, moved)
    assert path.read_bytes() == moved


async def test_reload_serves_the_new_certificate_without_restart(tmp_path: Path) -> None:
    store, pair = make(tmp_path)
    context = pki.server_context(pair, store.ca.pair.cert)
    seen: list[bytes | None] = []

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    trust = pki.client_context(store.ca.pair.cert, store.client("admin", pki.ADMIN))

    async def serial() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        await reader.read()
        writer.close()
        return x509.load_der_x509_certificate(der).serial_number

    first = await serial()
    pair.cert.unlink()
    make_again(store)
    context.load_cert_chain(pair.cert, pair.key)
    assert await serial() != first
    assert all(seen)
    server.close()
    await server.wait_closed()


def test_stranger_is_not_trusted(tmp_path: Path) -> None:
    ours, _ = make(tmp_path / "a")
    _, theirs = make(tmp_path / "b")
    assert not ours.ca.signed(pki.load_cert(theirs.cert))
    assert isinstance(pki.client_context(ours.ca.pair.cert), ssl.SSLContext)


@pytest.mark.parametrize("any_client", [False, True])
async def test_strange_client_certificate_in_the_handshake(tmp_path: Path, any_client: bool) -> None:
    store, pair = make(tmp_path / "a")
    strangers, _ = make(tmp_path / "b")
    context = pki.server_context(pair, store.ca.pair.cert, any_client=any_client)
    seen: list[bytes | None] = []

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        writer.write(b"hello")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    shown = strangers.client("eve", pki.Identity("eve", ("system:masters",)))
    trust = pki.client_context(store.ca.pair.cert, shown)
    got = b""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1], ssl=trust)
        got = await reader.read()
        writer.close()
    except OSError:
        assert not any_client
    if any_client:
        assert got == b"hello"
        assert seen == [pki.load_cert(shown.cert).public_bytes(serialization.Encoding.DER)]
    else:
        assert not seen
    server.close()
