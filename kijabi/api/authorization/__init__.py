"""The authorization API group: one module a kind."""
