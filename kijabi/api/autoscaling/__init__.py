"""The autoscaling API group: one module a kind."""
