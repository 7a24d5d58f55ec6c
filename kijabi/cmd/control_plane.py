"""Controllers and scheduler in one process, sharing one informer cache; each asks the API server as itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from kijabi.client.informer import Informers
from kijabi.cmd import component, config
from kijabi.cmd.lifeline import Lifeline


def options() -> list[click.Parameter]:
    return [component.data_dir()]


def main(directory: Path) -> None:
    cluster = config.load(directory)
    component.run("control", cluster, lambda lifeline: work(cluster, lifeline))


async def work(cluster: config.ClusterConfig, lifeline: Lifeline) -> None:
    """Both until cancelled; ready once everything that they watch is in the cache."""
    from kijabi.controllers import app as controllers
    from kijabi.controllers.config import Config
    from kijabi.scheduler import app as scheduler

    manager = component.client(cluster.component_kubeconfig("controller-manager"), "kube-controller-manager")
    binder = component.client(cluster.component_kubeconfig("scheduler"), "kube-scheduler")
    informers = Informers(manager)
    started = asyncio.Event()
    lifeline.when_server_is_up(informers.retry)
    await lifeline.wait_server()
    async with asyncio.TaskGroup() as tasks:
        settings = Config.of(cluster)
        tasks.create_task(scheduler.run(binder, informers), name="scheduler")
        tasks.create_task(controllers.run(settings, manager, informers, started.set), name="controllers")
        tasks.create_task(informers.run(), name="informers")
        await started.wait()
        await informers.wait_synced()
        lifeline.ready()
