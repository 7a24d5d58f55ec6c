"""Cluster DNS: names for Services and pods, as the Kubernetes DNS specification 1.1.0 has them.

`records` is pure: it turns Services and EndpointSlices into names and answers questions about them. `server` reads
questions from UDP and TCP, asks `records` about the cluster's own names and `forward` about all others. `app` feeds
`records` from the informers and publishes this node's server behind the `kube-dns` Service.
"""
