"""Container runtimes: what starts the processes of pods, and what a node has around it.

`interface.py` is the contract, `suite.py` the contract as tests. Two implementations:

- `cri.py`, real containers: the CRI spoken to containerd. `cri_convert.py` translates (pure), `cri_messages.py` and
  `cri_image_messages.py` are the messages, `rpc.py` carries them; `tasks.py` uses containerd's own services for exec
  and events, `cri_attach.py` its streaming server for attach.
- `fake.py`, no containers at all: for simulations and hollow nodes. `fake_shell.py` guesses what a command would do,
  `fake_session.py` has its streams.

What a node needs on the machine, for the node agent and `down`:

- `containerd.py`: the daemon of one node, from its configuration to the removal of its last trace;
- `cni.py`: the pod network and its bridge; `network.py`: several nodes on one machine, each in a network namespace;
- `cgroups.py`: the control groups of pods;
- `pause.py`: the image that holds a pod's namespaces, written by `oci.py`;
- `linux.py`: the system calls that Python lacks.
"""
