"""From a recipe to an image archive in the cache.

Called by the command line in `__main__.py` and by tests that need images. Packages come from `debian.py`; the
archive is written by `kijabi.kubelet.runtime.oci`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from kijabi.base.errors import ConfigError
from kijabi.kubelet.runtime import oci, pause
from kijabi.testing.images import debian
from kijabi.testing.images.recipes import COMMON_DIRECTORIES, COMMON_FILES, PRUNED, RECIPES, Recipe

COMPRESSION = 1  # of gzip: a third of the usual level's time for a tenth more bytes
DEFAULT_CACHE = Path("~/.cache/kijabi/images")


class Built(msgspec.Struct, frozen=True):
    """An image in the cache. reference: its full name with tag."""

    name: str
    reference: str
    archive: Path


def names() -> tuple[str, ...]:
    """The images that can be built."""
    return ("pause", *(recipe.name for recipe in RECIPES))


def cached(cache: Path = DEFAULT_CACHE) -> tuple[Built, ...]:
    """What is in the cache, in the order of the recipes."""
    cache = cache.expanduser()
    files = ((name, cache / f"{name}.tar", cache / f"{name}.reference") for name in names())
    return tuple(
        Built(name, reference.read_text().strip(), archive)
        for name, archive, reference in files
        if archive.exists() and reference.exists()
    )


def ensure(name: str, cache: Path = DEFAULT_CACHE) -> Built:
    """The image from the cache, built first where it is not there. Raises ConfigError."""
    return next((built for built in cached(cache) if built.name == name), None) or build(name, cache)


def build(name: str, cache: Path = DEFAULT_CACHE) -> Built:
    """Build an image anew. Raises ConfigError for an unknown name, or where this machine cannot."""
    cache = cache.expanduser()
    cache.mkdir(parents=True, exist_ok=True)
    if name == "pause":
        return store(Built(name, pause.NAME, cache / "pause.tar"), pause.archive())
    recipe = next((recipe for recipe in RECIPES if recipe.name == name), None)
    if recipe is None:
        raise ConfigError(f"no image is called {name}; there are {', '.join(names())}")
    debian.require()
    with tempfile.TemporaryDirectory(dir=cache, prefix=f"{name}-") as directory:
        packages = unpack(recipe, cache / "packages", Path(directory))
        layer = oci.layer_of_directory(Path(directory))
    reference = f"docker.io/library/{name}:{debian.version(packages[recipe.version_of])}"
    archive = oci.image(reference, layer, configuration(recipe), level=COMPRESSION)
    return store(Built(name, reference, cache / f"{name}.tar"), archive)


def unpack(recipe: Recipe, packages: Path, root: Path) -> dict[str, Path]:
    """An image's files in an empty directory. packages: where downloads are kept. Gives package → its file."""
    files = debian.fetch(debian.closure((*recipe.packages, recipe.tools)), packages)
    root.chmod(0o755)
    debian.unpack(files.values(), root)
    furnish(root, recipe)
    return files


def configuration(recipe: Recipe, *, user: str = "", env: tuple[str, ...] = ()) -> oci.ImageConfig:
    """How an image is run, by its recipe."""
    return oci.ImageConfig(
        entrypoint=recipe.entrypoint,
        cmd=recipe.cmd,
        env=(oci.PATH, *recipe.env, *env),
        ports=recipe.ports,
        user=user,
        working_dir=recipe.working_dir,
        stop_signal=recipe.stop_signal,
    )


def furnish(root: Path, recipe: Recipe) -> None:
    """What a package's install scripts would have done, and what a container does not need taken away."""
    for pattern in PRUNED:
        for path in root.glob(pattern):
            shutil.rmtree(path)
    for directory in (*COMMON_DIRECTORIES, *recipe.directories):
        (root / directory).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    _write(root, {**COMMON_FILES, **recipe.files})
    _link_tools(root)


def _write(root: Path, files: Mapping[str, str]) -> None:
    for path, content in files.items():
        target = root / path
        target.unlink(missing_ok=True)
        if content.startswith("-> "):
            target.symlink_to(content.removeprefix("-> "))
        else:
            target.write_text(content)


def _link_tools(root: Path) -> None:
    """busybox under each of its names that the image has no program for."""
    busybox = root / "usr/bin/busybox"
    applets = subprocess.run((busybox, "--list"), capture_output=True, text=True, check=True).stdout.split()
    for applet in applets:
        if not any(os.path.lexists(root / "usr" / place / applet) for place in ("bin", "sbin")):
            (root / "usr/bin" / applet).symlink_to("busybox")


def store(built: Built, archive: bytes) -> Built:
    """Keep an archive where `built` says, its reference beside it."""
    built.archive.write_bytes(archive)
    built.archive.with_suffix(".reference").write_text(built.reference + "\n")
    return built
