"""Controllers and scheduler in one process, sharing one informer cache; each asks the API server as itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from kijabi.client import kubeconfig
from kijabi.client.client import Client
from kijabi.client.informer import Informers
from kijabi.cmd import component, config
from kijabi.cmd.lifeline import Lifeline


def options() -> list[click.Parameter]:
    return [component.data_dir()]


def main(directory: Path) -> None:
    cluster = config.load(directory)
    component.run("control", cluster, lambda lifeline: work(cluster, lifeline))


def client_of(file: Path, agent: str) -> Client:
    """A client with the identity of a kubeconfig."""
    return Client(kubeconfig.transport(kubeconfig.load(file)), user_agent=agent)


async def work(cluster: config.ClusterConfig, lifeline: Lifeline) -> None:
    from kijabi.controllers import app as controllers
    from kijabi.controllers.config import Config
    from kijabi.scheduler import app as scheduler

    manager = client_of(cluster.component_kubeconfig("controller-manager"), "kube-controller-manager")
    informers = Informers(manager)
    binder = client_of(cluster.component_kubeconfig("scheduler"), "kube-scheduler")
    async with asyncio.TaskGroup() as tasks:
        settings = Config(
            root_ca=(cluster.pki / "ca.crt").read_text(),
            pod_cidrs=((cluster.pod_cidr, 24),),
            service_cidrs=(cluster.service_cidr,),
        )
        tasks.create_task(controllers.run(settings, manager, informers), name="controllers")
        tasks.create_task(scheduler.run(binder, informers), name="scheduler")
        tasks.create_task(informers.run(), name="informers")
        await asyncio.sleep(0)  # both have asked for their informers now
        await informers.wait_synced()
        lifeline.ready()
