"""Kijabi: Kubernetes, whole, in Python.

ARCHITECTURE.md is the map. The layers, top to bottom: `cmd` and `testing`; the components (`apiserver`,
`controllers`, `scheduler`, `kubelet`, `proxy`, `dns`, `cli`, `dashboard`), which meet only at the API server;
`client` and `store`; `api`, what exists; `base`, which knows nothing of Kubernetes.
"""

__version__ = "0.1.0"
KUBERNETES_VERSION = "v1.37.0"
