"""What survives: one ordered history of guarded writes over byte values. A tour.

Only the API server writes and reads here (its registry and its watch cache), and `cmd` chooses the engine.

- `interface`: what every engine promises. Read it first.
- `timeline`: the present and the bounded past in memory; `keys` (ordered keys) and `hub` (watchers) serve it.
- `memory`: the timeline alone. `embedded`: the timeline behind a journal on disk, with group commit;
  `journal` is its file format on LMDB.
- `encrypted`: wraps any of them and keeps chosen values unreadable on disk.
- `suite` and `model`: the contract as tests, which every engine passes.
"""
