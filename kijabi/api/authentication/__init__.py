"""The authentication API group: one module a kind."""
