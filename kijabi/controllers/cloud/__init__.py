"""What a cluster asks of where its machines stand: load balancers, facts about instances, routes between nodes.

`interface` is what a provider implements, as much of it as it has; `providers` finds one by its name: built in, or in
an installed package by the entry point group `kijabi.cloud_providers`. The controllers ask it and write into the
API: `service` (load balancers of Services), `node` (facts about new nodes), `nodelifecycle` (nodes whose machine is
gone), `route` (a route to each node's pods). `bare` is the provider for machines without a cloud.
"""
