"""What has effects beyond storing an object: a tour of the subresources.

Passed on to where containers run: `log.py`, `streams.py` (exec, attach, port-forward), `proxy.py` (and `rewrite.py` for
the links of what it shows). `kubelets.py` knows where a node's kubelet listens, `backend.py` speaks HTTP/1.1 with it,
`splice.py` joins two byte streams after an upgrade, `websocket.py` sends a log in frames.

Answered here: `token.py` (tokens of service accounts), `reviews.py` (who am I, may I), `binding.py`, `eviction.py`,
`scale.py`, `components.py`. `app.py` maps each to its resource.
"""
