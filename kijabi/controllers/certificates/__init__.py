"""The controllers of certificates.k8s.io. A tour.

`requests.py` says, purely, what the built-in signers ask of a request; `authority.py` makes a certificate of one, with
the cluster's key. Around them are thin controllers: `approving.py` (kubelets' client certificates, if they may),
`signing.py` (approved requests), `cleaning.py` (requests that nobody needs any more) and `trustbundle.py` (the
ClusterTrustBundle by which pods know the API server).
"""
