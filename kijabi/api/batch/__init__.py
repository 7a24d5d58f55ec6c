"""The batch API group: one module a kind."""
