"""storagemigration.k8s.io/v1: rewriting stored objects (`storageversionmigration.py`)."""
