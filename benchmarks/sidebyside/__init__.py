"""The parts of the side-by-side run (`benchmarks/upstream.py`).

`servers` starts and measures a Kijabi API server and an upstream kube-apiserver on etcd; `load` is the client that both
are driven with; `objects` is what it creates.
"""
