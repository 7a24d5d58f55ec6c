"""What goes on in programs with the official Python client until they are killed: `official.py VERB NAMESPACE NAME`."""

from __future__ import annotations

import json
import logging
import sys
import threading
from typing import Any

from kubernetes import client, config
from kubernetes.informer import SharedInformer
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.configmaplock import ConfigMapLock
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock


def say(text: str) -> None:
    print(text, flush=True)


def lead(namespace: str, name: str, lock: type = LeaseLock) -> None:
    """Stand for election under a name, and say when it leads."""
    logging.basicConfig(level=logging.INFO)
    settings = electionconfig.Config(
        lock(f"python-{lock.__name__.lower()}", namespace, name),
        lease_duration=4,
        renew_deadline=3,
        retry_period=1,
        onstarted_leading=lambda: say(f"{name} leads"),
        onstopped_leading=None,
    )
    say(f"{name} is waiting")
    leaderelection.LeaderElection(settings).run()


def inform(namespace: str, _: str) -> None:
    """Print what becomes of the ConfigMaps of a namespace."""
    informer = SharedInformer(client.CoreV1Api().list_namespaced_config_map, namespace)

    def told(verb: str) -> Any:
        return lambda thing: say(f"{verb} {thing.metadata.name} {json.dumps(thing.data)}".removesuffix(" null"))

    for event, verb in (("ADDED", "add"), ("MODIFIED", "update"), ("DELETED", "delete")):
        informer.add_event_handler(event, told(verb))
    informer.start()
    say("synced")
    threading.Event().wait()


if __name__ == "__main__":
    config.load_config()
    verb, *rest = sys.argv[1:]
    if verb == "lead-by-configmap":
        lead(*rest, lock=ConfigMapLock)
    else:
        {"lead": lead, "inform": inform}[verb](*rest)
