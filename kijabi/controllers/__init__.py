"""The controller manager: loops that make what is into what should be.

Each controller is one file (or one folder) with a pure `plan` and a thin shell that carries it out.

- `runtime.py`: what a controller is, and the queue and workers that run one. Read it first.
- `catalog.py`: which controllers there are; `app.py`: runs them all on one set of informers; `config.py`: settings.
- `replicaset.py`, `deployment/`: workloads; `pods.py`, `owners.py`, `expectations.py`, `creation.py` are what they
  are built from.
- `horizontalpodautoscaler/`: sizes of workloads that follow metrics.
- `endpointslice.py`, `endpoints.py`: who stands behind a Service; `backends.py` is what they share.
- `nodelifecycle.py` with `nodehealth.py`, `tainteviction.py`, `podgc.py`: nodes that fall silent, and their pods;
  `removal.py` is how a pod is taken away.
- `namespace.py`, `garbage/`: what is deleted with what; both ask `discovery.py` which resources there are.
- `clusterroleaggregation.py`: roles made of roles.
- `serviceaccount.py`, `rootca.py`: what every namespace is given; `nodeipam.py`: what every node is given.
- `storageversionmigrator.py`: what is stored in an old form is written anew.
- `sources.py`: the shared informers and their indexes.

They receive objects through informers and write through the client; nothing here knows the store.
"""
