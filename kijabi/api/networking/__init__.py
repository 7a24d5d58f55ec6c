"""networking.k8s.io/v1: traffic and addresses.

`ingress.py` and `ingressclass.py` for HTTP from outside, `networkpolicy.py` for who may talk to whom, `servicecidr.py`
and `ipaddress.py` for the addresses of services.
"""
