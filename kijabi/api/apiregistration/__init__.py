"""apiregistration.k8s.io/v1: group versions and who serves them (`apiservice.py`)."""
