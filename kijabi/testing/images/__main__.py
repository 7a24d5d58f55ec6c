"""The command line of the image builder; see the package for what it is for."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from kijabi.base import clock, process
from kijabi.base.errors import KijabiError
from kijabi.testing.images import build as builder

SOCKETS = Path("/run/kijabi")  # <cluster>/<node>/containerd.sock, or without a cluster if the node joined by itself

CACHE = click.option("--cache", type=click.Path(path_type=Path), default=builder.DEFAULT_CACHE, show_default=True)
NAMES = click.argument("names", nargs=-1)


@click.group()
def main() -> None:
    """Build small container images from Debian packages and import them into nodes, without a registry."""


@main.command()
@CACHE
@NAMES
def build(names: tuple[str, ...], cache: Path) -> None:
    """Build NAMES (all, if none is given) into the cache."""
    for name in names or builder.names():
        began = clock.monotonic()
        with _errors_told():
            built = builder.build(name, cache)
        size = built.archive.stat().st_size >> 10
        click.echo(f"{built.reference}  {size} KiB  {clock.monotonic() - began:.1f} s")


@main.command(name="list")
@CACHE
def list_(cache: Path) -> None:
    """List what is in the cache."""
    for built in builder.cached(cache):
        click.echo(f"{built.name:10} {built.reference}  {built.archive}")


@main.command(name="import")
@CACHE
@click.option("--data-dir", type=click.Path(path_type=Path), help="Only into nodes of the cluster in this directory.")
@click.option("--socket", "sockets", multiple=True, help="A containerd's socket; every running node's, if not given.")
@NAMES
def import_(names: tuple[str, ...], cache: Path, data_dir: Path | None, sockets: tuple[str, ...]) -> None:
    """Import NAMES (all, if none is given) into nodes; builds what the cache lacks."""
    targets = sockets or node_sockets(data_dir)
    if not targets:
        where = f"of the cluster in {data_dir} runs" if data_dir is not None else "runs here"
        raise click.ClickException(f"no node {where}: there is no containerd.sock in {SOCKETS}")
    for name in names or builder.names():
        with _errors_told():
            built = builder.ensure(name, cache)
        for socket in targets:
            with _errors_told():
                asyncio.run(import_image(built, socket))
            click.echo(f"{built.reference}  → {socket}")


def node_sockets(data_dir: Path | None) -> tuple[str, ...]:
    """The containerd sockets of the running nodes of one cluster, or of all on this machine."""
    nodes = ("*", "*/*") if data_dir is None else (f"{_run_name(data_dir)}/*",)
    return tuple(sorted(str(socket) for node in nodes for socket in SOCKETS.glob(f"{node}/containerd.sock")))


def _run_name(data_dir: Path) -> str:
    """The directory of a cluster under SOCKETS (the same rule as ClusterConfig.hash, which lies beside this layer)."""
    return hashlib.sha256(str(data_dir.absolute()).encode()).hexdigest()[:8]


async def import_image(built: builder.Built, socket: str) -> None:
    """Import one image into a node's containerd."""
    await process.run("ctr", "-a", socket, "-n", "k8s.io", "images", "import", str(built.archive))


@contextmanager
def _errors_told() -> Iterator[None]:
    """Our errors are for the reader of the terminal, without a stack."""
    try:
        yield
    except KijabiError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
