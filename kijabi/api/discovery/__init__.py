"""The discovery API group: one module a kind."""
