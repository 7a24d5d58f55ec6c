"""The API server's process: store, server, listener, and the renewal of the cluster's certificates."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from kijabi.apiserver import flags, pki
from kijabi.apiserver.app import App, Files, Settings, secured, tune_memory
from kijabi.apiserver.http import Http
from kijabi.cmd import component, config
from kijabi.cmd.keys import make_keys
from kijabi.cmd.lifeline import Lifeline
from kijabi.store.embedded import EmbeddedStore
from kijabi.store.encrypted import EncryptedStore, Keyring
from kijabi.store.interface import StoreClosed

MAINTENANCE = 60.0  # seconds between two looks at what the store may forget
ENCRYPTED = ("/registry/core/secrets/",)


def options() -> list[click.Parameter]:
    bind = component.option("--bind", "The address to listen on.", default="0.0.0.0")
    text = "A flag of kube-apiserver as NAME=VALUE, after the cluster's own."
    more = component.option("--apiserver-arg", text, multiple=True)
    return [component.data_dir("Where the store, the keys and the log are; made by `kijabi up`."), bind, more]


def main(directory: Path, bind: str, apiserver_arg: tuple[str, ...]) -> None:
    cluster = config.load(directory)
    given = flags.parse((*cluster.apiserver_args, *apiserver_arg))
    component.run("apiserver", cluster, lambda lifeline: work(cluster, bind, lifeline, given))


async def work(cluster: config.ClusterConfig, bind: str, lifeline: Lifeline, given: flags.Flags) -> None:
    """Open the store, load it, serve."""
    keys = make_keys(cluster)
    ca = keys.ca.pair.cert
    database = cluster.path / "store"
    keyring = Keyring.load(keys.directory / "encryption.json", create=not database.exists())
    store = EncryptedStore(EmbeddedStore.open(database), keyring, ENCRYPTED)
    settings = Settings(service_cidr=cluster.service_cidr, advertise=cluster.advertise, port=cluster.port, flags=given)
    app = App(store, settings)
    serving = pki.Pair(keys.directory / "apiserver.crt", keys.directory / "apiserver.key")
    context = pki.server_context(serving, ca, any_client=True)
    try:
        await app.load()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_follow(app), name="watch cache")
            await app.start(secured(app.caches, settings, files_of(keys)))
            http = Http(app.api, given.max_connections)
            tasks.create_task(http.run(bind, cluster.port, context), name="listener")
            tasks.create_task(_maintain(store), name="store maintenance")
            reload = lambda: context.load_cert_chain(serving.cert, serving.key)  # noqa: E731
            renewer = pki.Renewer(keys, lambda: _renew(cluster, keys), reload)
            tasks.create_task(renewer.run(), name="certificates")
            await http.ready.wait()
            tune_memory()
            lifeline.ready()
    finally:
        await store.close()


def files_of(keys: pki.Pki) -> Files:
    """What the server reads of a cluster's keys."""
    ca, front_proxy = keys.ca.pair.cert, keys.front_proxy_client()
    return Files(
        client_ca=ca,
        account_key=keys.service_account_key(),
        account_public=keys.directory / "sa.pub",
        kubelet_tls=lambda: pki.client_context(ca, keys.kubelet_client()),
        front_proxy_ca=keys.front_proxy_ca.pair.cert,
        front_proxy=lambda: front_proxy,
    )


async def _follow(app: App) -> None:
    """The server's own work. It ends only when the store does: then so must this process, and a new one try again."""
    await app.run()
    raise StoreClosed("the store stopped by itself: its disk failed or is full; the log has the reason")


async def _maintain(store: EncryptedStore) -> None:
    while True:
        await asyncio.sleep(MAINTENANCE)
        await store.maintain()


def _renew(cluster: config.ClusterConfig, keys: pki.Pki) -> None:
    renewed = make_keys(cluster)
    keys.generation += renewed.generation
