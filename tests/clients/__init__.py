"""Clients of Kubernetes as they are in the world, unmodified, each against a real cluster with real containers.

A file for each client: kubectl of three ages, Helm, programs with client-go and controller-runtime (`go/`), the
Python clients and an operator with kopf (`python/`), the JavaScript client (`javascript/`). What all of them must bear,
such as an API server that is killed, is said once, in `world.py`. `make clients` runs them all.
"""
