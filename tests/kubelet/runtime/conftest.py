"""One real node for all tests of this folder that need it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kubelet.runtime.realnode import RealNode


@pytest.fixture(scope="session")
def busybox_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RealNode, str]]:
    """A node that has busybox; with the image's reference."""
    node = RealNode(tmp_path_factory.mktemp("node"))
    try:
        node.start()
        yield node, node.add_image("busybox")
    finally:
        node.remove()
    assert node.traces() == []
