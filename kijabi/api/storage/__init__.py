"""The storage API group: one module a kind."""
