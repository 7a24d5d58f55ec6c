"""discovery.k8s.io/v1: the addresses behind services (`endpointslice.py`)."""
