"""The rbac API group: one module a kind."""
