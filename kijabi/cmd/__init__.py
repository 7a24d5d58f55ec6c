"""One main per process, and how a whole cluster is composed of them.

`config` is what a cluster is on disk. `up` makes its keys and starts the `supervisor`, which starts the component
processes (`apiserver`, `control`: controllers and scheduler sharing one cache, `node`: kubelet, proxy and DNS), and
brings back what dies. `lifeline` is the socket between it and them. `down` undoes everything; `rotation` changes the
key of the Secrets. `main` is the command line: these, and what `kijabi.cli` has to say about a running cluster.
"""
