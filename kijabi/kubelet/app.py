"""Puts a kubelet together from its configuration and runs it: what `cmd` calls.

With `config.fake` nothing touches the machine, whatever the runtime; otherwise volumes, control groups and probes are
real, and the HTTPS server listens. Imports of the server come late, since hollow nodes need none of it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable

from kijabi.client.client import Client
from kijabi.client.informer import Informers
from kijabi.kubelet.config import KubeletConfig
from kijabi.kubelet.dialer import LocalDialer, NullDialer
from kijabi.kubelet.groups import NullGroups, PodGroups
from kijabi.kubelet.loop import Kubelet
from kijabi.kubelet.machine import FakeMachine, LocalMachine
from kijabi.kubelet.runtime.cgroups import Cgroups
from kijabi.kubelet.runtime.interface import Runtime
from kijabi.kubelet.volumes.files import LocalFiles, NullFiles

# How often the server's certificate is read again, since it is renewed while this runs.
RELOAD_SECONDS = 3600.0

log = logging.getLogger(__name__)

# The size of a fake node of which nothing else was said.
FAKE_CPU, FAKE_MEMORY, FAKE_STORAGE = 4000, 8 << 30, 100 << 30


def make(config: KubeletConfig, client: Client, runtime: Runtime, informers: Informers | None = None) -> Kubelet:
    """A kubelet, not yet running. informers: shared with other components of this process."""
    if config.fake:
        machine = FakeMachine(
            config.node,
            config.host_cpu or FAKE_CPU,
            config.host_memory or FAKE_MEMORY,
            config.host_storage or FAKE_STORAGE,
        )
        return Kubelet(
            config,
            client,
            runtime,
            files=NullFiles(),
            dialer=NullDialer(),
            groups=NullGroups(),
            machine=machine,
            informers=informers,
        )
    for directory in (config.pods_root, config.log_root):
        os.makedirs(directory, mode=0o750, exist_ok=True)
    return Kubelet(
        config,
        client,
        runtime,
        files=LocalFiles(),
        dialer=LocalDialer(),
        groups=PodGroups(Cgroups(config.cgroup_prefix)),
        machine=LocalMachine(config.root, config.host_cpu, config.host_memory, config.host_storage),
        informers=informers,
    )


async def run(
    config: KubeletConfig,
    client: Client,
    runtime: Runtime,
    *,
    informers: Informers | None = None,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Be a node's kubelet until cancelled; pods are left running then. ready() is called once it is registered.

    config.port 0 means no server. The runtime belongs to the caller, who closes it.
    """
    kubelet = make(config, client, runtime, informers)
    async with asyncio.TaskGroup() as group:
        if config.port:
            await _serve(group, kubelet)
        group.create_task(kubelet.run(), name="kubelet")
        await kubelet.wait_registered()
        ready()


async def _serve(group: asyncio.TaskGroup, kubelet: Kubelet) -> None:
    """Listen now, so that the node is never shown with a port that does not answer."""
    from aiohttp import web

    from kijabi.kubelet.server import KubeletServer, tls

    config = kubelet.config
    runner = web.AppRunner(KubeletServer(kubelet).application(), access_log=None)
    await runner.setup()
    context = tls(config) if config.certificate else None
    site = web.TCPSite(runner, config.bind, config.port, ssl_context=context)
    await site.start()
    log.info("listening", extra={"address": config.bind, "port": config.port})

    async def until_cancelled() -> None:
        try:
            while True:
                await asyncio.sleep(RELOAD_SECONDS)
                if context is not None:
                    context.load_cert_chain(config.certificate, config.key)
        finally:
            await runner.cleanup()

    group.create_task(until_cancelled(), name="kubelet server")
