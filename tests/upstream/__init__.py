"""Kubernetes' own components, built from the Go module proxy and unchanged, against our API server (`make upstream`).

`plane.py` starts and stops them, `conftest.py` has one control plane for all tests: our API server and hollow nodes,
upstream's kube-controller-manager and kube-scheduler. They speak protobuf throughout, as they do by default.
"""
