"""The events API group: one module a kind."""
