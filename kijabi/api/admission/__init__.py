"""admission.k8s.io/v1: what the API server and admission webhooks say to one another.

`admissionreview.py` is the only kind; webhooks themselves are declared in `admissionregistration/`.
"""
