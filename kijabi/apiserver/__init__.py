"""The API server: where everything meets. A tour, in the order in which a request comes by.

`http.py` takes it off the wire; `server.py` answers it, without a socket in sight, so a simulation runs the same
code. `requestinfo.py` reads what is asked, `authn/` finds out who asks, `authz/` decides (`denial.py` words the
refusal), `negotiate.py` settles the form of the answer, `routes.py` finds the resource, `call.py` carries all this
along. `audit/` writes down who asked what and how it ended, if somebody wants to know.

A **write** goes to `registry.py`, whose `create` is the list of steps: decode (`body.py`; `patching.py` for patches),
default, `admission/`, `metadata.py` and `strategy.py` (what clients may not set), validate, `admission/` again, then
`storage.py`: one guarded transaction, together with what must be true at the same moment (`addresses.py`).
`deletion.py` knows grace, finalizers and policies. What is more than an object has a file in `subresources/`.

A **read** goes to `reading.py`, which answers from `watchcache.py`: every object decoded and as bytes, level with the
store by one watch over all of it, in order (`ordered.py`). `listing.py` sends lists, large ones in slices, and
`turns.py` says whose turn it is; `continuing.py` are the tokens of pages. `watch.py` is one client's watch,
`delivery.py` brings it events; `forms.py`, `forms_binary.py` (protobuf), `forms_text.py` (for people) and `table.py`
are what objects look like on the wire, `framing.py` what events do; `options.py` reads the parameters.

A **custom resource** goes the same ways: `crd/` makes its `Resource` and its place in the routes from the stored
definition, and what one version shows of objects that are stored in another. `webhooks/` asks the users' own servers.

A **page** (health, version, metrics, discovery, OpenAPI) comes from `plain.py`, `discovery.py`, `openapi/` and
`metrics.py`. What **somebody else** serves is passed on by `aggregation/`; what nodes and pods use is measured by
`resourcemetrics/`. `app.py` puts all of it together; `bootstrap.py` makes what every cluster has; `expiry.py` clears
events away; `pki.py` makes and renews certificates.
"""
