"""The policy API group: one module a kind."""
