"""The containers that the conformance tests run, made of the same module's sources and of Debian packages.

`run` asks for the archives and imports them into every node under the names that the tests expect, which are read from
the module's own list (`test/utils/image/manifest.go`); so no test ever pulls. An image here has the programs and files
that the tests use; where upstream's has Alpine below, ours has Debian's packages.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

import msgspec

from kijabi.base.errors import ConfigError
from kijabi.kubelet.runtime import oci, pause
from kijabi.testing.conformance.build import Builder, Program
from kijabi.testing.images import build as packing
from kijabi.testing.images import debian
from kijabi.testing.images.recipes import RECIPES, Recipe

MANIFEST = "test/utils/image/manifest.go"
# One line of the list: which image by the tests' name for it, from which registry, its name and tag.
ENTRY = re.compile(r'configs\[(\w+)\] = Config\{list\.(\w+), "([^"]+)", "([^"]+)"\}')
REGISTRY = re.compile(r'^\s*(\w+Registry):\s+"([^"]+)"', re.MULTILINE)


class TestImage(msgspec.Struct, frozen=True, kw_only=True):
    """One image. names: the tests' names for it, each its own tag. recipe: packages, files, command.

    programs: where a built program goes. copies: files of the module (its path → path in the image).
    """

    __test__ = False  # not a test, whatever pytest makes of the name

    names: tuple[str, ...]
    recipe: Recipe
    programs: dict[str, Program] = {}
    copies: dict[str, str] = {}
    user: str = ""
    setuid: tuple[str, ...] = ()


AGNHOST = Program("agnhost", "./test/images/agnhost")
AGNHOST_FILES = {
    "test/images/agnhost/porter/localhost.crt": "localhost.crt",
    "test/images/agnhost/porter/localhost.key": "localhost.key",
}
# The users that upstream's Dockerfile adds; tests of supplemental groups look for them.
AGNHOST_PASSWD = "root:x:0:0:root:/root:/bin/sh\nuser-defined-in-image:x:1000:1000::/home/user:/bin/sh\n"
AGNHOST_GROUP = (
    "root:x:0:\nuser-defined-in-image:x:1000:\ngroup-defined-in-image:x:50000:user-defined-in-image\nnobody:x:65534:\n"
)


def _agnhost(name: str, packages: tuple[str, ...] = (), files: dict[str, str] | None = None) -> Recipe:
    return Recipe(
        name=name,
        packages=packages,
        entrypoint=("/agnhost",),
        cmd=("pause",),
        ports=(80, 8080, 8081, 9376, 5000),
        directories=("uploads", "home/user"),
        files={"agnhost-2": "-> agnhost", "etc/passwd": AGNHOST_PASSWD, "etc/group": AGNHOST_GROUP, **(files or {})},
    )


# Upstream's are on Alpine, and the test of image volumes reads that in one of them. There is no distribution in ours.
ALPINE = {"etc/os-release": 'NAME="Alpine Linux"\nID=alpine\n'}


def _demo(name: str) -> TestImage:
    """The two that `Update Demo` tells apart by what they serve."""
    folder = f"test/images/{name.lower()}/html"
    recipe = _agnhost(name.lower(), files=ALPINE)
    return TestImage(
        names=(name,),
        recipe=msgspec.structs.replace(recipe, entrypoint=("/agnhost",), cmd=("test-webserver",)),
        programs={"agnhost": AGNHOST},
        copies={f"{folder}/{name.lower()}.jpg": f"{name.lower()}.jpg", f"{folder}/data.json": "data.json"},
    )


NGINX = next(recipe for recipe in RECIPES if recipe.name == "nginx")
NETWORK_TOOLS = ("bind9-dnsutils", "curl", "netcat-openbsd", "iproute2", "iperf", "bash", "dash", "libc-bin", "socat")
# The shell of busybox-static takes its own tools before those of the search path: `nc` would be another than it looks.
PLAIN_SHELL = {"usr/bin/sh": "-> dash"}
IMAGES = (
    TestImage(
        names=("Agnhost", "AgnhostPrev"),
        recipe=_agnhost("agnhost", NETWORK_TOOLS, {"usr/bin/nc": "-> nc.openbsd", **PLAIN_SHELL}),
        programs={"agnhost": AGNHOST},
        copies=AGNHOST_FILES,
    ),
    TestImage(names=("NonRoot",), recipe=_agnhost("nonroot"), programs={"agnhost": AGNHOST}, user="1234"),
    _demo("Kitten"),
    _demo("Nautilus"),
    TestImage(
        names=("BusyBox",),
        # Not the static one: its wget -T dies in the resolver, which glibc loads at run time. And a second shell in the
        # search path: Debian's busybox drops variables that a shell cannot name, upstream's newer one passes them on.
        recipe=Recipe(
            name="busybox",
            packages=("busybox", "bash"),
            tools="busybox",
            cmd=("sh",),
            directories=("usr/local/bin",),
            files={"usr/local/bin/sh": "-> /usr/bin/bash"},
        ),
        programs={"usr/bin/hostname": Program("hostname", "./test/images/busybox")},
    ),
    TestImage(
        names=("GlibcDnsTesting",),
        recipe=Recipe(
            name="glibc-dns-testing",
            packages=("bind9-dnsutils", "bash", "dash", "libc-bin"),
            cmd=("bash",),
            files=PLAIN_SHELL,
        ),
    ),
    TestImage(names=("Nginx", "NginxNew"), recipe=NGINX),
    TestImage(
        names=("Etcd",),
        recipe=Recipe(
            name="etcd",
            packages=("etcd-server",),
            cmd=("etcd",),
            directories=("usr/local/bin", "var/lib/etcd"),
            files={"usr/local/bin/etcd": "-> /usr/bin/etcd"},
        ),
    ),
    TestImage(
        names=("APIServer",),
        recipe=Recipe(name="sample-apiserver", packages=(), entrypoint=("/sample-apiserver",)),
        programs={"sample-apiserver": Program("sample-apiserver", "k8s.io/sample-apiserver")},
    ),
    TestImage(
        names=("Nonewprivs",),
        recipe=Recipe(name="nonewprivs", packages=(), cmd=("nnp",), directories=("usr/local/bin",)),
        programs={"usr/local/bin/nnp": Program("nnp", "./test/images/nonewprivs")},
        setuid=("usr/local/bin/nnp",),
    ),
)


def references(manifest: str) -> dict[str, str]:
    """The tests' name of each image → its full reference, read from the module's list of images."""
    registries = {name[0].lower() + name[1:]: value for name, value in REGISTRY.findall(manifest)}
    found: dict[str, str] = {}
    for name, registry, image, tag in ENTRY.findall(manifest):
        where = registries.get(registry[0].lower() + registry[1:])
        if where is None:
            raise ConfigError(f"{MANIFEST} names no registry {registry}")
        found[name] = f"{where}/{image}:{tag}"
    return found


def archives(builder: Builder, directory: Path) -> tuple[packing.Built, ...]:
    """Every image as an archive in a directory, built where it is not there yet. Raises ConfigError."""
    directory.mkdir(parents=True, exist_ok=True)
    names = references((builder.source / MANIFEST).read_text())
    built = [_pause(names["Pause"], directory)]
    for image in IMAGES:
        lacking = {name: names[name] for name in image.names if _kept(name, names[name], directory) is None}
        if lacking:
            _build(image, lacking, builder, directory)
        built += [kept for name in image.names if (kept := _kept(name, names[name], directory)) is not None]
    return tuple(built)


def _kept(name: str, reference: str, directory: Path) -> packing.Built | None:
    """An image that was built before, under this reference."""
    archive = directory / f"{name}.tar"
    label = archive.with_suffix(".reference")
    good = archive.exists() and label.exists() and label.read_text().strip() == reference
    return packing.Built(name, reference, archive) if good else None


def _pause(reference: str, directory: Path) -> packing.Built:
    config = oci.ImageConfig(entrypoint=("/pause",), user="65535:65535")
    layer = oci.layer_of({"pause": oci.File(0o755, pause.program())})
    return packing.store(
        packing.Built("Pause", reference, directory / "Pause.tar"), oci.image(reference, layer, config)
    )


def _build(image: TestImage, wanted: dict[str, str], builder: Builder, directory: Path) -> None:
    """One layer for all names of an image; each name its own configuration, so that a node can tell them apart."""
    with tempfile.TemporaryDirectory(dir=directory, prefix=f"{image.recipe.name}-") as name:
        root = Path(name)
        debian.require()
        packing.unpack(image.recipe, directory.parent.parent / "packages", root)
        for path, program in image.programs.items():
            (root / path).unlink(missing_ok=True)
            shutil.copy(builder.program(program), root / path)
        for source, target in image.copies.items():
            shutil.copyfile(builder.source / source, root / target)
        for path in image.setuid:
            (root / path).chmod(0o4755)
        layer = oci.layer_of_directory(root)
    for name, reference in wanted.items():
        config = packing.configuration(image.recipe, user=image.user, env=(f"IMAGE={reference}",))
        archive = directory / f"{name}.tar"
        packing.store(
            packing.Built(name, reference, archive), oci.image(reference, layer, config, level=packing.COMPRESSION)
        )
