"""scheduling.k8s.io: `priorityclass.py` (v1), and of v1alpha3 what Job embeds (`workload.py`)."""
