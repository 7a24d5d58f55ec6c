"""The scheduling API group: one module a kind."""
