"""coordination.k8s.io/v1: locks and heartbeats (`lease.py`)."""
