"""exec, attach and port-forward: many byte streams through one upgraded HTTP connection.

A request comes from the API server, which splices it through from kubectl. `remotecommand.py` (exec and attach) and
`portforward.py` serve it and need nothing but the request and a way into the pod. Below them `upgrade.py` takes the
connection away from the HTTP server, `websocket.py` and `spdy.py` frame it, and `pipe.py` is a bounded pipe between two
tasks. `spdy.py` also has the client's side, for containerd's attach.
"""
