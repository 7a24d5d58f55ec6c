"""The command `kijabi`: start, stop and look at clusters, and run one component by itself.

Each command imports what it needs when it runs, so that `kijabi --help` is quick and a component process carries
nothing that it does not use.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from kijabi import KUBERNETES_VERSION, __version__
from kijabi.base.errors import KijabiError
from kijabi.cmd import config as configuration

DIRECTORY = click.option(
    "--data-dir",
    "directory",
    type=click.Path(path_type=Path),
    default=configuration.DEFAULT_DIR,
    envvar="KIJABI_DATA_DIR",
    show_default=True,
    help="Where the cluster keeps its data, keys, logs and kubeconfig.",
)


def _plainly(command: Callable[..., Any]) -> Callable[..., Any]:
    """Show an error of ours as one line and exit with 1; anything else is a bug and keeps its traceback."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except KijabiError as error:
            raise click.ClickException(str(error)) from error

    return run


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(f"{__version__} (Kubernetes {KUBERNETES_VERSION})", prog_name="kijabi")
def main() -> None:
    """Kubernetes, whole, in Python.

    \b
      kijabi up          starts a cluster and says where its kubeconfig is
      kijabi status      shows components, nodes and what is unhealthy
      kijabi down        stops the cluster; its data stays for the next `up`

    Several clusters run side by side with different --data-dir and --port.
    """


@main.command()
@DIRECTORY
@click.option("--port", type=click.IntRange(1, 65535), help="The API server's port.  [default: 6443]")
@click.option("--nodes", type=click.IntRange(1, 64), help="How many nodes.  [default: 1]")
@click.option(
    "--runtime",
    type=click.Choice(["cri", "fake"]),
    help="cri: real containers by containerd. fake: pods only pretend to run.  [default: cri]",
)
@click.option(
    "--apiserver-arg",
    "apiserver_args",
    multiple=True,
    metavar="NAME=VALUE",
    help="A flag of kube-apiserver, such as audit-policy-file=FILE; may be repeated. All together take the place of "
    "those before; --apiserver-arg= removes them.",
)
@click.option(
    "--controller-arg",
    "controller_args",
    multiple=True,
    metavar="NAME=VALUE",
    help="A flag of kube-controller-manager, such as controllers=*,bootstrapsigner; may be repeated. All together take "
    "the place of those before; --controller-arg= removes them.",
)
@click.option(
    "--cloud-provider",
    metavar="NAME",
    help="Who gives load balancers to Services: bare (from a pool of addresses), none, or the provider of an installed "
    "package.  [default: bare]",
)
@click.option("--cloud-config", type=click.Path(path_type=Path), help="The cloud provider's own file of settings.")
@click.option(
    "--load-balancer-pool",
    "pool",
    multiple=True,
    metavar="RANGE",
    help="For bare: addresses such as 192.168.1.240-192.168.1.250 or 192.168.1.240/28; may be repeated. All together "
    "take the place of those before; --load-balancer-pool= is the default again.  [default: half of the node network]",
)
@click.option("--foreground", is_flag=True, help="Stay in the foreground; Ctrl-C stops the cluster.")
@_plainly
def up(
    directory: Path,
    port: int | None,
    nodes: int | None,
    runtime: str | None,
    apiserver_args: tuple[str, ...],
    controller_args: tuple[str, ...],
    cloud_provider: str | None,
    cloud_config: Path | None,
    pool: tuple[str, ...],
    foreground: bool,
) -> None:
    """Start a cluster in the background and wait until its nodes are Ready.

    What is not given stays as it was at the last `up` of this directory.
    """
    from kijabi.cmd.up import Wishes, hold, up

    given = _apiserver_args(apiserver_args) if apiserver_args else None
    wishes = Wishes(
        directory=directory,
        port=port,
        nodes=nodes,
        runtime=runtime,
        apiserver_args=given,
        controller_args=_controller_args(controller_args) if controller_args else None,
        cloud_provider=cloud_provider,
        cloud_config=str(cloud_config.absolute()) if cloud_config is not None else None,
        load_balancer_pool=tuple(one for one in pool if one) if pool else None,
    )
    config = up(wishes, click.echo, foreground=foreground)
    click.echo(
        f"\nThe cluster is ready: {config.server}\n\n"
        f"  export KUBECONFIG={config.kubeconfig}\n"
        f"  kubectl get nodes\n"
        f"  kubectl apply -f examples/shop      # the tour in README.md (make images first, without internet)\n\n"
        f"`kijabi status` shows how it is, {'Ctrl-C' if foreground else '`kijabi down`'} stops it."
    )
    if foreground:
        from kijabi.cmd.down import down

        try:
            hold(config)
        finally:
            down(directory, click.echo)


def _apiserver_args(given: tuple[str, ...]) -> tuple[str, ...]:
    """The API server's flags as they are kept: read once to find mistakes, and not relative to where we are."""
    from kijabi.apiserver import flags

    arguments = [argument for argument in given if argument]
    flags.parse(arguments)
    return flags.absolute(arguments, Path.cwd())


def _controller_args(given: tuple[str, ...]) -> tuple[str, ...]:
    """The controllers' flags as they are kept: read once to find mistakes."""
    from kijabi.controllers import catalog, flags

    arguments = tuple(argument for argument in given if argument)
    flags.check_names(flags.parse(arguments), catalog.names())
    return arguments


@main.command()
@DIRECTORY
@click.option("--purge", is_flag=True, help="Delete the data directory too: objects, keys, images.")
@_plainly
def down(directory: Path, purge: bool) -> None:
    """Stop a cluster and leave nothing behind: process, container, mount, bridge, nftables, cgroup."""
    from kijabi.cmd.down import down

    down(directory, click.echo, purge=purge)


@main.command()
@DIRECTORY
@click.option("--json", "as_json", is_flag=True, help="The components as JSON.")
@_plainly
def status(directory: Path, as_json: bool) -> None:
    """Show components, nodes, versions, and what is unhealthy and why. Exits with 1 if anything is."""
    import msgspec

    from kijabi.cmd.status import gather

    cluster = asyncio.run(gather(configuration.load(directory)))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(cluster.components)).decode())
        return
    from kijabi.cli import status as text

    click.echo(text.render(cluster))
    if text.problems(cluster):
        sys.exit(1)


@main.command()
@DIRECTORY
@click.option("--path", "only_path", is_flag=True, help="Print where it is instead of what it says.")
@_plainly
def kubeconfig(directory: Path, only_path: bool) -> None:
    """Print the administrator's kubeconfig."""
    file = configuration.load(directory).kubeconfig
    click.echo(file if only_path else file.read_text(), nl=only_path)


@main.command()
@click.argument("component")
@DIRECTORY
@click.option("-f", "--follow", is_flag=True, help="Go on showing lines as they come.")
@click.option("-n", "--lines", default=100, show_default=True, help="How many of the last lines.")
@click.option("--json", "as_json", is_flag=True, help="The lines as they are in the file, for `jq` and its like.")
@_plainly
def logs(component: str, directory: Path, follow: bool, lines: int, as_json: bool) -> None:
    """Show the log of a COMPONENT: apiserver, control, node-1 … , supervisor."""
    config = configuration.load(directory)
    file = config.logs / f"{component}.log"
    if not file.exists():
        known = sorted(path.stem for path in config.logs.glob("*.log"))
        raise click.ClickException(f"no log of {component!r}; there are: {', '.join(known) or 'none yet'}")
    tail = ["tail", "-n", str(lines), *(["-F"] if follow else []), str(file)]
    if as_json:
        os.execvp(tail[0], tail)
    import subprocess

    from kijabi.base.log import render

    with subprocess.Popen(tail, stdout=subprocess.PIPE, text=True, errors="replace") as process:
        for line in process.stdout or ():
            click.echo(render(line))


@main.command()
@click.option("--install", "mend", is_flag=True, help="Install what is missing (Debian, Ubuntu).")
def doctor(mend: bool) -> None:
    """Say what this machine lacks to run containers, and the command that mends it."""
    from kijabi.cli.doctor import CHECKS, examine, install

    findings = examine()
    if findings and mend:
        findings = install(findings, click.echo)
    wrong = {finding.check.name: finding for finding in findings}
    for check in CHECKS:
        finding = wrong.get(check.name)
        if finding is None:
            click.echo(f"  ok       {check.name}")
        else:
            click.echo(f"  {'MISSING' if check.needed else 'optional'}  {check.name}: {finding.problem}")
            click.echo(f"           mend: {check.command()}")
    if any(finding.check.needed for finding in findings):
        sys.exit(1)


@main.command("rotate-key")
@DIRECTORY
@_plainly
def rotate_key(directory: Path) -> None:
    """Encrypt the Secrets on disk with a new key and forget the old one. The cluster must be down."""
    from kijabi.cmd.rotation import rotate

    name, count = asyncio.run(rotate(configuration.load(directory)))
    click.echo(f"Encrypted with the new key {name}: {count} Secrets. The old key is forgotten.")


def _component(name: str, entry: str, text: str, *, hidden: bool = False) -> None:
    """A sub-command that runs one component in this process: kijabi/cmd/<entry>.py has `options` and `main`."""

    class Lazy(click.Command):
        def _load(self) -> None:
            import importlib

            module = importlib.import_module(f"kijabi.cmd.{entry}")
            self.params = list(module.options())
            self.callback = _plainly(module.main)

        def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
            self._load()
            return super().make_context(*args, **kwargs)

    main.add_command(Lazy(name, help=text, short_help=text.split(".")[0] + ".", hidden=hidden))


_component("apiserver", "apiserver", "Run the API server with its store.")
_component("controller-manager", "controller_manager", "Run the controllers.")
_component("scheduler", "scheduler", "Run the scheduler.")
_component("kubelet", "kubelet", "Run a node's kubelet with its own containerd.")
_component("proxy", "proxy", "Run a node's service proxy.")
_component("dns", "dns", "Run a cluster DNS server.")
_component("control", "control_plane", "Run controllers and scheduler in one process, with one cache.", hidden=True)
_component("node", "node", "Run kubelet, proxy and DNS of one node in one process.", hidden=True)


if __name__ == "__main__":
    main()
