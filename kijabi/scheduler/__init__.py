"""The scheduler: picks a node for every pod that has none.

Read in this order. `framework` is what a plugin is: a filter says which nodes cannot take a pod and why, a score
says which of the rest is better, both over all nodes at once. `nodestate` holds the nodes as NumPy columns. `plugins/`
has one file per rule, `catalog` lists them with their weights. `decide` is the pure decision: pod and node state in,
node or reasons out, `preempt` whom to evict when there is none. `queue` holds who waits, who backs off, and who can
wait for an event. `loop` is the thin shell: informers in, bindings and events out; `eviction` carries evictions out.
"""
