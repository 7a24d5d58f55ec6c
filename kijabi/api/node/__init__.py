"""node.k8s.io/v1: ways to run pods (`runtimeclass.py`)."""
