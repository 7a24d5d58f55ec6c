"""The parts of benchmarks that compare with upstream (`upstream.py`, `rollout.py`) or one size with another.

`servers` starts and measures a Kijabi API server and an upstream kube-apiserver on etcd; `load` is the client that both
are driven with; `objects` is what it creates. `hollow` is many nodes in one process. `populace` fills a world with
objects of every kind.
"""
