"""Kubernetes' test programs, built from the Go module proxy: the test binary, ginkgo, kubectl, what the images run.

The published module `k8s.io/kubernetes` expects its staging modules beside it, where the proxy's copy has only an empty
folder. They are published by themselves, so a copy of the module whose go.mod names those builds like any other.
`run` and `images` ask here for programs; nothing is built twice. Go itself comes from `kijabi/testing/programs.py`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import msgspec

from kijabi import KUBERNETES_VERSION
from kijabi.base import clock
from kijabi.testing import programs
from kijabi.testing.programs import Go, Say

MODULE = "k8s.io/kubernetes"
STAGING = re.compile(r"^(\s*)(\S+) => \./staging/src/\S+$", re.MULTILINE)
VERSION_PACKAGE = "k8s.io/component-base/version"


class Program(msgspec.Struct, frozen=True):
    """Something to build. package: its import path, or `./…` in the module; test: a test binary."""

    name: str
    package: str
    test: bool = False


E2E = Program("e2e.test", "./test/e2e", test=True)
GINKGO = Program("ginkgo", "github.com/onsi/ginkgo/v2/ginkgo")
KUBECTL = Program("kubectl", "./cmd/kubectl")


def cache_directory() -> Path:
    """Where everything built of this version lies: `conformance/VERSION` of the cache."""
    return programs.cache_directory() / "conformance" / KUBERNETES_VERSION


def published(go_mod: str, version: str) -> str:
    """A go.mod whose staging modules are those published with the version: v1.37.2 of Kubernetes is v0.37.2 of them."""
    staging = version.replace("v1.", "v0.", 1)
    replaced = STAGING.findall(go_mod)
    text = STAGING.sub(rf"\1\2 => \2 {staging}", go_mod)
    for _, module in replaced:
        text = re.sub(rf"^(\s*{re.escape(module)}) v0\.0\.0$", rf"\1 {staging}", text, flags=re.MULTILINE)
    return text


def linker_flags(version: str) -> str:
    """Without symbols, and with the version as upstream's build stamps it in: some tests ask for it."""
    major, minor, _ = version.removeprefix("v").split(".")
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    return " ".join(("-s -w", *(f"-X {VERSION_PACKAGE}.{name}={value}" for name, value in stamps.items())))


class Builder:
    """Builds programs into `directory/bin`. say: told what takes long."""

    def __init__(self, say: Say, directory: Path | None = None) -> None:
        self._say = say
        self._directory = directory or cache_directory()
        self._go = Go(say, self._directory.parent)

    @property
    def source(self) -> Path:
        """The module's source with a go.mod that builds; fetched on first use."""
        target = self._directory / "source"
        if not (target / "go.mod").exists():
            self._fetch(target)
        return target

    def program(self, program: Program) -> Path:
        """The path of a program, built if it is not there. Raises ConfigError with the compiler's last words."""
        target = self._directory / "bin" / program.name
        if target.exists():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        source = self.source
        unfinished = target.with_suffix(f".{os.getpid()}")  # another harness may build the same
        verb = ("test", "-c") if program.test else ("build",)
        self._say(f"building {program.name} (once, some minutes)")
        began = clock.monotonic()
        self._go.run(
            (
                *verb,
                "-trimpath",
                f"-ldflags={linker_flags(KUBERNETES_VERSION)}",
                "-o",
                str(unfinished),
                program.package,
            ),
            source,
        )
        unfinished.rename(target)
        self._say(f"built {program.name} in {clock.monotonic() - began:.0f} s")
        return target

    def _fetch(self, target: Path) -> None:
        self._say(f"fetching {MODULE} {KUBERNETES_VERSION}")
        self._directory.mkdir(parents=True, exist_ok=True)
        described = self._go.run(("mod", "download", "-json", f"{MODULE}@{KUBERNETES_VERSION}"), self._directory)
        module = Path(json.loads(described)["Dir"])
        unfinished = target.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        # The module cache is read-only, copied modes and all: files are copied without theirs.
        shutil.copytree(
            module, unfinished, ignore=shutil.ignore_patterns("go.work*", "vendor"), copy_function=shutil.copyfile
        )
        for folder in (unfinished, *(path for path in unfinished.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
        go_mod = unfinished / "go.mod"
        go_mod.write_text(published(go_mod.read_text(), KUBERNETES_VERSION))
        unfinished.rename(target)
