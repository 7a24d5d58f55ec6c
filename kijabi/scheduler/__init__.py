"""The scheduler: picks a node for every pod that has none.

Read in this order. `podinfo` is what is kept of a pod, `needs` what its spec says about other pods. `framework` is what
a plugin is: a filter says which nodes cannot take a pod and why, a score says which of the rest is better, both over
all nodes at once. `nodestate` holds the nodes as NumPy columns; `matchers` counts in columns the pods that somebody
means, `domains` sums columns over zones and the like, `storage` has claims and volumes. `plugins/` has one file per
rule, `catalog` lists them with their weights. `decide` is the pure decision: pod and node state in, node or reasons
out; `preempt` says whom to evict when there is none, over the matrices of `ranks`. `queue` holds who waits, who backs
off, and who can wait for an event. `loop` is the thin shell: informers in, bindings and events out; `sources` follows
all but pods and nodes, `spreading` says with whom a pod is spread that does not say so itself, `eviction` carries
evictions out, `volumes` binds volumes before their pod.

What needs something beyond the node state (a volume; a device, when there are any) is a `Reserve`: taken with the
decision, made true before the binding, given back if that fails. Several pods are supposed to be somewhere, and all
taken back, by `NodeState.supposed`: what nominated pods need, and what groups that are placed together will.
"""
