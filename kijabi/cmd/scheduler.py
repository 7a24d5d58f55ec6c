"""The scheduler in a process of its own: `kijabi scheduler`."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import click

from kijabi.base import rand
from kijabi.client.informer import Informers
from kijabi.client.lease import Elector
from kijabi.cmd import component
from kijabi.cmd.lifeline import Lifeline
from kijabi.scheduler import app
from kijabi.scheduler.loop import DEFAULT_NAME

LEASE = "kube-scheduler"


def options() -> list[click.Parameter]:
    option = component.option
    return [
        component.data_dir(),
        component.kubeconfig(),
        option("--scheduler-name", "Which pods are its own: spec.schedulerName.", default=DEFAULT_NAME),
        option("--leader-elect", "Work only while holding the lease; for several of them.", is_flag=True),
    ]


def main(directory: Path, kubeconfig: Path | None, scheduler_name: str, leader_elect: bool) -> None:
    place = component.place(directory, kubeconfig, "scheduler")
    component.run("scheduler", place.cluster, lambda lifeline: work(place, scheduler_name, leader_elect, lifeline))


async def work(place: component.Place, name: str, leader_elect: bool, lifeline: Lifeline) -> None:
    """Schedule until cancelled. One that waits to be the leader is ready as well."""
    client = place.client("kube-scheduler")

    async def schedule() -> None:
        informers = Informers(client)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(app.run(client, informers, name=name), name="scheduler")
            await asyncio.sleep(0)  # the scheduler has asked for its informers now
            tasks.create_task(informers.run(), name="informers")
            await informers.wait_synced()
            lifeline.ready()

    if leader_elect:
        lifeline.ready()
        await Elector(client, LEASE, f"{socket.gethostname()}_{rand.uuid()}").lead(schedule)
    else:
        await schedule()
