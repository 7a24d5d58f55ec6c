"""The registry that tests pull from."""

from __future__ import annotations

import hashlib
import json
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from kijabi.kubelet.runtime import oci
from kijabi.testing.conformance import registry
from kijabi.testing.images.build import Built

NAME = "registry.example/e2e/tool:1.2-0"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    archive = tmp_path / "tool.tar"
    layer = oci.layer_of({"bin/tool": oci.File(0o755, b"\x7fELF" * 50_000)})
    archive.write_bytes(oci.image(NAME, layer, oci.ImageConfig()))
    with registry.serving([Built("tool", NAME, archive)], "127.0.0.1", tmp_path / "certs.d"):
        told = tomllib.loads((tmp_path / "certs.d/registry.example/hosts.toml").read_text())
        [address] = told["host"]
        assert told["server"] == address
        yield address


def get(url: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, {}, b""


def test_an_image_is_pulled_from_its_tag_to_its_layer(url: str) -> None:
    assert get(f"{url}/v2/")[0] == 200
    status, headers, body = get(f"{url}/v2/e2e/tool/manifests/1.2-0?ns=registry.example")
    assert (status, headers["Content-Type"]) == (200, registry.MANIFEST)
    digest = "sha256:" + hashlib.sha256(body).hexdigest()
    assert headers["Docker-Content-Digest"] == digest
    assert get(f"{url}/v2/e2e/tool/manifests/{digest}")[2] == body
    status, headers, nothing = get(f"{url}/v2/e2e/tool/manifests/1.2-0", "HEAD")
    assert (status, headers["Content-Length"], nothing) == (200, str(len(body)), b"")
    manifest = json.loads(body)
    for part in (manifest["config"], *manifest["layers"]):
        blob = get(f"{url}/v2/e2e/tool/blobs/{part['digest']}")[2]
        assert len(blob) == part["size"]
        assert "sha256:" + hashlib.sha256(blob).hexdigest() == part["digest"]


@pytest.mark.parametrize(
    "path",
    ["/", "/v2/e2e/tool/manifests/2", "/v2/other/manifests/1.2-0", "/v2/e2e/tool/blobs/sha256:00", "/v2/../x/blobs/a"],
)
def test_what_is_not_there_is_not_found(url: str, path: str) -> None:
    assert get(url + path)[0] == 404


def test_nothing_is_taken(url: str) -> None:
    assert get(f"{url}/v2/e2e/tool/manifests/1.2-0", "PUT")[0] == 501
