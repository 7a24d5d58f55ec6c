"""The kubelet: makes the pods of one node be what the API server says, and tells it how they are.

A tour, from the outside in:

- `app.py` puts it together, `loop.py` routes news to the workers, `config.py` says how it is set up.
- `podworker.py` is one pod's state machine; `plan.py` decides purely what to do next, `operations.py` has it under way,
  `actions.py` starts and `killing.py` stops. `status.py` (with `phase.py`, `conditions.py`) says purely how the pod is,
  `statuses.py` sends it.
- `cache.py` keeps what the runtime holds (`view.py`); `runtime/` speaks to containerd or plays it.
- What a container gets: `env.py`, `downward.py`, `dns.py`, `resources.py`, `security.py`, brought together in
  `configs.py`; `volumes/`; `images.py` with `credentials.py`; ConfigMaps and Secrets by `references.py`.
- `probes.py` and `hooks.py` ask containers, through `handlers.py` and `dialer.py`.
- The node: `node.py` and `nodestatus.py`, `machine.py`, `admission.py`, `pressure.py`, `gc.py`, `rotation.py`.
- `server.py` answers the API server: logs (`logreader.py`), exec and port-forward (`streaming/`), `stats.py`.

Everything that touches the machine is behind a small interface with a null implementation (`volumes/files.py`,
`dialer.py`, `groups.py`, `machine.py`), so a simulation runs all the rest unchanged.
"""
