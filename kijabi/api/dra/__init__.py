"""The dra API group: one module a kind."""
