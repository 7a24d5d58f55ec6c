"""The coordination API group: one module a kind."""
