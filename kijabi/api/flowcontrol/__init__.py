"""The flowcontrol API group: one module a kind."""
