"""What tests of this project and of your operators stand on; shipped, because users need it too.

`cluster` is a whole cluster in one process: the real API server, controllers, scheduler and kubelets over a store in
memory and containers that pretend. `direct` is its transport, `faults` makes that misbehave. `simloop` is an event loop
on which hours pass in seconds and a seed replays everything. `scenario` and `simulate` put them together into the
deterministic simulation (`make sim`): a `user` with `wishes`, `trouble`, rules of `safety` after every write
(`checkers`), and `liveness` once all is well (`converge`). `objects` is a reader for tests of one part alone. `images`
builds small OCI images from Debian packages for machines without a registry. `conformance` runs Kubernetes' own
conformance tests.
"""
