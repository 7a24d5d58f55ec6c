"""certificates.k8s.io/v1: certificates on request.

`certificatesigningrequest.py` for anyone, `podcertificaterequest.py` for pods, `clustertrustbundle.py` for the roots.
"""
