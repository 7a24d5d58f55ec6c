"""The controllers in a process of their own: `kijabi controller-manager`."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from pathlib import Path

import click

from kijabi.api import duration
from kijabi.base.errors import ConfigError
from kijabi.client.informer import Informers
from kijabi.cmd import component
from kijabi.cmd.lifeline import Lifeline
from kijabi.controllers import app, flags
from kijabi.controllers.config import Config
from kijabi.controllers.nodeipam import pod_ranges


def options() -> list[click.Parameter]:
    option = component.option
    return [
        component.data_dir(),
        component.kubeconfig(),
        option("--cluster-cidr", "The pod addresses of all nodes.  [default: the data directory's, or 10.244.0.0/16]"),
        option("--node-cidr-mask-size", "The prefix length of one node's share.  [default: 24, 64 for IPv6]", type=int),
        option("--node-cidr-mask-size-ipv4", "The same of its IPv4 share, with pod addresses of both kinds.", type=int),
        option("--node-cidr-mask-size-ipv6", "The same of its IPv6 share.", type=int),
        option("--service-cidr", "The Service addresses.  [default: the data directory's, or 10.96.0.0/16]"),
        option("--root-ca-file", "The certificate that pods are given.  [default: the one in the kubeconfig]"),
        option("--cluster-signing-cert-file", "Signs requests for certificates.  [default: the data directory's]"),
        option("--cluster-signing-key-file", "Its key."),
        option("--cluster-signing-duration", "How long what is signed is good for, at most.", default="8760h"),
        option("--controller-arg", "A flag of kube-controller-manager, as NAME=VALUE.", multiple=True),
        option("--cloud-provider", "Who gives load balancers to Services.  [default: the data directory's, or none]"),
        option("--cloud-config", "The cloud provider's own file of settings."),
        option("--load-balancer-pool", "For the provider bare: a range of addresses.", multiple=True),
        option("--leader-elect", "Work only while holding the lease; for several of them.", is_flag=True),
    ]


def main(
    directory: Path,
    kubeconfig: Path | None,
    cluster_cidr: str | None,
    node_cidr_mask_size: int | None,
    node_cidr_mask_size_ipv4: int | None,
    node_cidr_mask_size_ipv6: int | None,
    service_cidr: str | None,
    root_ca_file: str | None,
    cluster_signing_cert_file: str | None,
    cluster_signing_key_file: str | None,
    cluster_signing_duration: str,
    controller_arg: tuple[str, ...],
    cloud_provider: str | None,
    cloud_config: str | None,
    load_balancer_pool: tuple[str, ...],
    leader_elect: bool,
) -> None:
    place = component.place(directory, kubeconfig, "controller-manager")
    cluster = place.cluster
    settings = Config.of(cluster) if cluster is not None else Config(root_ca=place.identity.ca)
    settings = dataclasses.replace(
        settings,
        leader_elect=leader_elect,
        flags=flags.parse((*(cluster.controller_args if cluster is not None else ()), *controller_arg)),
        host=socket.gethostname(),
        signing_cert=cluster_signing_cert_file or settings.signing_cert,
        signing_key=cluster_signing_key_file or settings.signing_key,
        signing_duration=_duration(cluster_signing_duration),
        cloud_provider=cloud_provider or settings.cloud_provider,
        cloud_config=cloud_config or settings.cloud_config,
        load_balancer_pool=load_balancer_pool or settings.load_balancer_pool,
    )
    if cluster_cidr:
        sizes = (node_cidr_mask_size, node_cidr_mask_size_ipv4, node_cidr_mask_size_ipv6)
        settings = dataclasses.replace(settings, pod_cidrs=pod_ranges(cluster_cidr, *sizes), reserved=())
    if service_cidr:
        settings = dataclasses.replace(settings, service_cidrs=tuple(service_cidr.split(",")))
    if root_ca_file:
        settings = dataclasses.replace(settings, root_ca=component.read(root_ca_file))
    component.run("controller-manager", cluster, lambda lifeline: work(settings, place, lifeline))


def _duration(text: str) -> float:
    """Seconds, of what Go reads as a duration."""
    try:
        return duration.parse(text)
    except ValueError as error:
        raise ConfigError(f"--cluster-signing-duration: {error}") from error


async def work(settings: Config, place: component.Place, lifeline: Lifeline) -> None:
    """Controllers until cancelled. One that waits to be the leader is ready as well."""
    client = place.client("kube-controller-manager")
    informers = Informers(client)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(app.run(settings, client, informers, lifeline.ready), name="controllers")
        tasks.create_task(informers.run(), name="informers")
        if settings.leader_elect:
            lifeline.ready()
