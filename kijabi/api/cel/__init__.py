"""The Common Expression Language, as Kubernetes uses it: rules of CRDs, admission policies, match conditions.

A tour in the order in which an expression goes through:

    lexer.py, parser.py, macros.py   text to nodes (`ast.py`); limits of length and depth
    types.py                         types, and what schemas and built-in kinds declare
    checker.py, literals.py          names, types and overloads; constants
    functions.py, overloads/         the function libraries, as tables of signatures
    evaluate.py, attributes.py       nodes to closures over a `frame.py`; `runs.py` has the closures that need no tree
    values.py, typed.py, times.py    what is computed with; JSON values seen through a schema; time
    costs.py, estimates.py           what a call cost, and what an expression may cost at worst
    environment.py                   the door: `Environment`, `Program`, `Budget`
    errors.py                        what may be wrong, in cel-go's words

Our own implementation rather than a binding: Kubernetes' API contains cel-go's error texts, its static and its run-time
costs and Kubernetes' types and functions, and Google's binding (cel-expr-python 0.1.3, cel-cpp) exposes none of these.
Measurements are in ARCHITECTURE.md.
"""
