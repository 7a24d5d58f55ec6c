"""metrics.k8s.io, for `kubectl top` and autoscalers: what nodes and pods use, measured by their kubelets.

`serving.py` answers requests and asks kubelets, as long as somebody wants to know; `samples.py` reads what a kubelet
says at one moment; `usage.py` makes rates of two such moments.
"""
