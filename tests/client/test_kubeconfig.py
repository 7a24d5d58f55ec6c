"""Reading kubeconfigs, and following their certificates when those are renewed."""

from __future__ import annotations

from pathlib import Path

from kijabi.apiserver import pki
from kijabi.client import kubeconfig


def test_renewed_certificates_are_used_by_new_connections(tmp_path: Path) -> None:
    keys = pki.Pki(tmp_path / "pki")
    file = tmp_path / "kubeconfig"
    pair = keys.client("me", pki.Identity("me"))
    file.write_bytes(pki.kubeconfig("https://127.0.0.1:1", keys.ca.pair.cert, pair, "me"))
    transport = kubeconfig.followed(file)
    first = transport._tls()
    assert transport._tls() is first
    pair.cert.unlink()
    assert transport._tls() is first, "what cannot be read now is no reason to stop"
    keys.client("me", pki.Identity("me"))
    assert transport._tls() is not first
