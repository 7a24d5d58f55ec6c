"""The apps API group: one module a kind."""
