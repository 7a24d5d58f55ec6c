"""The node API group: one module a kind."""
