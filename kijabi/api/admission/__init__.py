"""The admission API group: one module a kind."""
