"""apps/v1: workloads that keep pods running.

`deployment.py` rolls out `replicaset.py`; `statefulset.py` gives pods identity and storage, `daemonset.py` puts one on
each node; the last two keep their history in `controllerrevision.py`.
"""
