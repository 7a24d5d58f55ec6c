"""The networking API group: one module a kind."""
