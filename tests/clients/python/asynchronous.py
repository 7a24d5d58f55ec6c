"""What goes on in programs with kubernetes_asyncio until they are killed: `asynchronous.py VERB NAMESPACE NAME`."""

from __future__ import annotations

import asyncio
import json
import sys

import aiohttp
from kubernetes_asyncio import client, config, watch
from kubernetes_asyncio.leaderelection import electionconfig, leaderelection
from kubernetes_asyncio.leaderelection.resourcelock.leaselock import LeaseLock


def say(text: str) -> None:
    print(text, flush=True)


async def lead(connection: client.ApiClient, namespace: str, name: str) -> None:
    """Stand for election under a name, and say when it leads."""

    async def leads() -> None:
        say(f"{name} leads")

    async def stopped() -> None:
        say(f"{name} stopped")

    lock = LeaseLock("asyncio", namespace, name, connection)
    say(f"{name} is waiting")
    settings = electionconfig.Config(
        lock, lease_duration=4, renew_deadline=3, retry_period=1, onstarted_leading=leads, onstopped_leading=stopped
    )
    await leaderelection.LeaderElection(settings).run()


async def inform(connection: client.ApiClient, namespace: str, _: str) -> None:
    """Print what becomes of the ConfigMaps of a namespace, over as many connections and lists as it takes."""
    list_them = client.CoreV1Api(connection).list_namespaced_config_map
    known: dict[str, client.V1ConfigMap] = {}

    def found(thing: client.V1ConfigMap) -> None:
        before = known.get(thing.metadata.name)
        known[thing.metadata.name] = thing
        if before is None or before.metadata.resource_version != thing.metadata.resource_version:
            verb = "add" if before is None else "update"
            say(f"{verb} {thing.metadata.name} {json.dumps(thing.data)}".removesuffix(" null"))

    def lost(name: str) -> None:
        del known[name]
        say(f"delete {name}")

    async def list_again() -> str:
        answer = await list_them(namespace)
        for name in known.keys() - {thing.metadata.name for thing in answer.items}:
            lost(name)
        for thing in answer.items:
            found(thing)
        return str(answer.metadata.resource_version)

    version = await list_again()
    say("synced")
    while True:
        try:
            version = version or await list_again()
            async for event in watch.Watch().stream(list_them, namespace, resource_version=version):
                thing = event["object"]
                version = thing.metadata.resource_version
                if event["type"] == "DELETED":
                    lost(thing.metadata.name)
                else:
                    found(thing)
        except aiohttp.ClientError as error:
            say(f"cut: {type(error).__name__}")
            await asyncio.sleep(0.5)
        except client.ApiException as error:
            if error.status != 410:  # Expired: the server's history begins later
                raise
            say("expired")
            version = ""


async def main() -> None:
    await config.load_config()
    verb, *rest = sys.argv[1:]
    async with client.ApiClient() as connection:
        await {"lead": lead, "inform": inform}[verb](connection, *rest)


if __name__ == "__main__":
    asyncio.run(main())
