"""What knows nothing of Kubernetes, and what everything else stands on. A tour.

- `errors`: the one error tree, which the server raises and the client raises again.
- `clock` and `rand`: time and chance, which a simulation's loop owns.
- `backoff`: how long to wait before trying again. `tasks`: structured concurrency; every task has a parent.
- `log`: JSON lines with fields, to a bounded file.
"""
