"""Calling what users run: admission webhooks and conversion webhooks, and services in general.

`client.py` posts a document and gives the answer; `services.py` finds a ready endpoint of a Service; `pool.py` keeps
connections. `admission/` and the conversion of custom resources call; aggregation finds its servers the same way.
"""
