"""A registry for tests that pull although the image is there: what `images` built, over plain HTTP, to read only.

`run` starts it on an address that only nodes of its cluster reach, and tells containerd by a `hosts.toml` to ask here
instead of the registry that an image is named after. Blobs are read from the archives where they lie (OCI distribution
specification 1.0, the pull part).
"""

from __future__ import annotations

import json
import re
import shutil
import tarfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from kijabi.testing.images.build import Built

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
BLOB = "application/octet-stream"
PLACE = re.compile(r"^/v2/(?P<name>[a-z0-9._/-]+)/(?P<kind>manifests|blobs)/(?P<reference>[A-Za-z0-9._:-]+)$")
IDLE = 30.0  # seconds after which a silent connection is closed


class Blob(NamedTuple):
    """Where a blob lies: `size` bytes from `offset` on in an archive."""

    archive: Path
    offset: int
    size: int


class Shelf:
    """What there is: blobs by digest, manifests by name and tag. Reads only the tables of contents of the archives."""

    def __init__(self, images: Sequence[Built]) -> None:
        self.blobs: dict[str, Blob] = {}
        self.tags: dict[tuple[str, str], str] = {}
        for built in images:
            self._add(built)

    def _add(self, built: Built) -> None:
        with tarfile.open(built.archive) as archive:
            for member in archive:
                folder, _, digest = member.name.rpartition("/")
                if folder == "blobs/sha256":
                    self.blobs[f"sha256:{digest}"] = Blob(built.archive, member.offset_data, member.size)
                elif member.name == "index.json" and (file := archive.extractfile(member)) is not None:
                    [manifest] = json.load(file)["manifests"]
        name, _, tag = built.reference.partition("/")[2].rpartition(":")
        self.tags[name, tag] = manifest["digest"]

    def find(self, path: str) -> tuple[str, str, Blob] | None:
        """(media type, digest, blob) of what a path names."""
        place = PLACE.match(path)
        if place is None:
            return None
        manifest = place["kind"] == "manifests"
        digest = (
            self.tags.get((place["name"], place["reference"]), place["reference"]) if manifest else place["reference"]
        )
        blob = self.blobs.get(digest)
        return None if blob is None else (MANIFEST if manifest else BLOB, digest, blob)


def hosts(address: str, port: int) -> str:
    """The hosts.toml that has containerd ask here."""
    url = f"http://{address}:{port}"
    return f'server = "{url}"\n[host."{url}"]\ncapabilities = ["pull", "resolve"]\n'


@contextmanager
def serving(images: Sequence[Built], address: str, certs: Path) -> Iterator[None]:
    """Serve images on an address while inside, for every registry that they are named after. certs: see `hosts`."""
    shelf = Shelf(images)
    server = ThreadingHTTPServer((address, 0), lambda *given: _Handler(shelf, *given))
    for registry in {built.reference.partition("/")[0] for built in images}:
        (certs / registry).mkdir(parents=True, exist_ok=True)
        (certs / registry / "hosts.toml").write_text(hosts(address, server.server_port))
    thread = threading.Thread(target=server.serve_forever, name="registry")
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE

    def __init__(self, shelf: Shelf, *given: Any) -> None:
        self._shelf = shelf
        super().__init__(*given)

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        blob = self._answer()
        if blob is not None:
            with blob.archive.open("rb") as file:
                file.seek(blob.offset)
                shutil.copyfileobj(_Part(file.read, blob.size), self.wfile)

    def _answer(self) -> Blob | None:
        """The headers; the blob that is to follow."""
        path = self.path.partition("?")[0]
        found = self._shelf.find(path)
        if found is None:
            self.send_response(HTTPStatus.OK if path == "/v2/" else HTTPStatus.NOT_FOUND)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        kind, digest, blob = found
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(blob.size))
        self.send_header("Docker-Content-Digest", digest)
        self.end_headers()
        return blob

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal shows the tests."""


class _Part:
    """The next `size` bytes of a file, as a file."""

    def __init__(self, read: Any, size: int) -> None:
        self._read, self._left = read, size

    def read(self, most: int = -1) -> bytes:
        data: bytes = self._read(self._left if most < 0 else min(most, self._left))
        self._left -= len(data)
        return data
