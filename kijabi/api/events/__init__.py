"""events.k8s.io/v1: the newer view of events (`event.py`); the core Event is what is stored."""
