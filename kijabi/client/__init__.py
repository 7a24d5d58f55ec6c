"""How the parts talk: everything that speaks to the API server does so through here. A tour.

- `transport`: the one door between processes. `http` opens it over TLS; a simulation opens it into the server
  itself.
- `client`: typed calls and watches; `frames` reads what comes back. Errors are those of `base/errors.py`.
- `informer`: a cache that follows the server, with indexes and handlers; `cache` is what it holds.
- `queue`: keyed, deduplicated work with back-off. Informer to queue to reconcile is the shape of every
  controller.
- `lease`: which of several processes leads. `events`: telling people what happened.
- `kubeconfig`: where the server is and who we are.
"""
