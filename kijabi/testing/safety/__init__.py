"""Safety rules: what must be true after every single write, whatever fails.

`history.WatchedStore` asks each checker after each write. A checker is a small class; its docstring says the rule and
where it comes from. They know the API's types and nothing of the components that they judge. `checkers.standard()`
lists them: a new one is a class here and a line there. `facts.py` has what several of them ask.
"""
