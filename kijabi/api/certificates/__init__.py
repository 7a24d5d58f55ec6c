"""The certificates API group: one module a kind."""
