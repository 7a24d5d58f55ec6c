"""Reads an expression into nodes: recursive descent over the grammar of the CEL language definition.

The lexer gives the words, `macros.py` expands the calls that are macros, the checker takes the tree. Limits are those
of cel-go: 100,000 characters, 250 levels of nesting, where a chain (`a.b.c`, `a + b + c`) counts as nested. Texts of
errors are those of upstream's generated parser; after the first word that does not fit, parsing ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from kijabi.api.cel import lexer
from kijabi.api.cel.ast import Call, Entry, Ident, ListNode, Literal, MapNode, Node, Select, StructNode
from kijabi.api.cel.errors import CelSyntaxError, Issues, Source
from kijabi.api.cel.lexer import Token
from kijabi.api.cel.macros import Macro, MacroError

MAX_CHARACTERS = 100_000
MAX_DEPTH = 250
_RESERVED = frozenset((
    "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop",
    "package", "namespace", "null", "return", "true", "var", "void", "while",
))  # fmt: skip
_OPERATORS = {  # function, strength, rule of the grammar whose depth is counted
    "||": ("_||_", 1, ""), "&&": ("_&&_", 2, ""),
    "<": ("_<_", 3, "relation"), "<=": ("_<=_", 3, "relation"), ">=": ("_>=_", 3, "relation"),
    ">": ("_>_", 3, "relation"), "==": ("_==_", 3, "relation"), "!=": ("_!=_", 3, "relation"), "in": ("@in", 3, "relation"),
    "+": ("_+_", 4, "calc"), "-": ("_-_", 4, "calc"),
    "*": ("_*_", 5, "calc"), "/": ("_/_", 5, "calc"), "%": ("_%_", 5, "calc"),
}  # fmt: skip
_START = (
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
)


def _after(closing: str) -> str:
    """What upstream says it expects behind a complete item."""
    comma = "" if closing in ("':'", "']' ") else "',', "
    return f"{{'==', '!=', 'in', '<', '<=', '>=', '>', '&&', '||', '[', {closing}, '.', {comma}'-', '?', '+', '*', '/', '%'}}"


class _Stop(Exception):
    """A word that does not fit; the issue is noted."""


class _TooDeep(Exception):
    """Nesting beyond the limit."""


def parse(text: str, macros: Mapping[tuple[str, int, bool], Macro], issues: Issues) -> Node:
    """The tree of an expression. CelSyntaxError with all issues where there is none."""
    if len(text) > MAX_CHARACTERS:
        issues.add(-1, f"expression code point size exceeds limit: size: {len(text)}, limit {MAX_CHARACTERS}")
        raise CelSyntaxError(issues.text())
    try:
        tree = _Parser(text, macros, issues).whole()
    except _Stop:
        raise CelSyntaxError(issues.text()) from None
    except (_TooDeep, RecursionError):
        issues = Issues(Source(text))
        issues.add(-1, f"expression recursion limit exceeded: {MAX_DEPTH}")
        raise CelSyntaxError(issues.text()) from None
    if len(issues):
        raise CelSyntaxError(issues.text())
    return tree


class _Parser:
    def __init__(self, text: str, macros: Mapping[tuple[str, int, bool], Macro], issues: Issues) -> None:
        self.tokens = lexer.tokens(text, issues)
        self.next = 0
        self.macros = macros
        self.issues = issues
        self.levels = {"expr": 0, "relation": 0, "calc": 0, "member": 0}

    # Words

    @property
    def token(self) -> Token:
        return self.tokens[self.next]

    def take(self) -> Token:
        token = self.tokens[self.next]
        self.next += token.kind != "end"
        return token

    def accept(self, kind: str) -> Token | None:
        return self.take() if self.tokens[self.next].kind == kind else None

    def expect(self, kind: str, expecting: str) -> Token:
        return self.accept(kind) or self.unexpected(expecting)

    def unexpected(self, expecting: str) -> NoReturn:
        token = self.token
        shown = lexer._shown(token.text)
        self.issues.add(token.at, f"Syntax error: mismatched input '{shown}' expecting {expecting}")
        raise _Stop

    def problem(self, at: int, message: str) -> Node:
        self.issues.add(at, message)
        return Literal(at=at, value=None)

    def deepen(self, rule: str) -> None:
        """One level more of a rule, and of those that it always enters."""
        for counted in ("expr", "relation", "calc") if rule == "expr" else (rule,):
            self.levels[counted] += 1
            if self.levels[counted] > MAX_DEPTH:
                raise _TooDeep

    # Grammar

    def whole(self) -> Node:
        tree = self.expression()
        if self.token.kind != "end":
            token = self.token
            word = "extraneous" if self.tokens[self.next + 1].kind == "end" else "mismatched"
            shown = lexer._shown(token.text)
            self.issues.add(token.at, f"Syntax error: {word} input '{shown}' expecting <EOF>")
            raise _Stop
        return tree

    def expression(self) -> Node:
        """`or ? or : expression`."""
        self.deepen("expr")
        tree = self.binary(1)
        if mark := self.accept("?"):
            chosen = self.binary(1)
            self.expect(":", _after("':'"))
            tree = self.call(mark.at, "_?_:_", [tree, chosen, self.expression()])
        for rule in ("expr", "relation", "calc"):
            self.levels[rule] -= 1
        return tree

    def binary(self, weakest: int) -> Node:
        """Operators of this strength and stronger, each applied from the left (precedence climbing)."""
        levels = dict(self.levels)
        left = self.operand()
        while (operator := _OPERATORS.get(self.token.kind)) is not None and operator[1] >= weakest:
            function, strength, rule = operator
            if not rule:
                left = self.logic(left, function, strength)
                continue
            mark = self.take()
            self.deepen(rule)
            self.levels[rule] += 1
            right = self.binary(strength + 1)
            self.levels[rule] -= 1
            left = self.call(mark.at, function, [left, right])
        self.levels = levels
        return left

    def logic(self, first: Node, function: str, strength: int) -> Node:
        """A chain of `&&` or of `||`: a balanced tree, because either side may be evaluated first."""
        operator = self.token.kind
        terms, places = [first], []
        while mark := self.accept(operator):
            places.append(mark.at)
            terms.append(self.binary(strength + 1))

        def balanced(low: int, high: int) -> Node:
            middle = (low + high + 1) // 2
            left = terms[middle] if middle == low else balanced(low, middle - 1)
            right = terms[middle + 1] if middle == high else balanced(middle + 1, high)
            return Call(at=places[middle], function=function, args=[left, right])

        return balanced(0, len(places) - 1)

    def operand(self) -> Node:
        """A primary with its `.field`, `.?field`, `.method(…)`, `[index]`, `[?index]`, and signs before it."""
        sign = self.token
        signs = 0
        if sign.kind == "!" or (sign.kind == "-" and self.tokens[self.next + 1].kind not in ("int", "float")):
            while self.accept(sign.kind):
                signs += 1
        before = self.levels["member"]
        self.deepen("member")
        tree = self.primary()
        while True:
            if dot := self.accept("."):
                self.deepen("member")
                tree = self.after_dot(tree, dot)
            elif bracket := self.accept("["):
                self.deepen("member")
                function = "_[?_]" if self.accept("?") else "_[_]"
                index = self.expression()
                self.expect("]", _after("']'"))
                tree = self.call(bracket.at, function, [tree, index])
            else:
                break
        self.levels["member"] = before
        return self.call(sign.at, "!_" if sign.kind == "!" else "-_", [tree]) if signs % 2 else tree

    def after_dot(self, operand: Node, dot: Token) -> Node:
        optional = self.accept("?")
        if self.token.kind == "escaped":
            return self.problem(dot.at, "unsupported syntax: '`'") if self.take() else operand
        if self.token.kind != "ident":
            self.no_name(optional is not None)
        name = self.take()
        if optional is None and (open_ := self.accept("(")):
            args = self.arguments()
            return self.call(open_.at, name.text, args, operand)
        if optional is not None:
            return Call(at=dot.at, function="_?._", args=[operand, Literal(at=name.at, value=name.text)])
        return Select(at=dot.at, operand=operand, field=name.text)

    def no_name(self, optional: bool) -> NoReturn:
        token = self.token
        if optional:
            self.unexpected("{IDENTIFIER, ESC_IDENTIFIER}")
        dotted = f".{token.text}"
        if token.kind in ("true", "false", "null"):
            self.issues.add(token.at, f"Syntax error: mismatched input '{dotted[1:]}' expecting IDENTIFIER")
        else:
            self.issues.add(token.at, f"Syntax error: no viable alternative at input '{lexer._shown(dotted)}'")
        raise _Stop

    def arguments(self) -> list[Node]:
        args: list[Node] = []
        if self.accept(")"):
            return args
        if self.token.kind in ("end", "]", "}", ",", ":"):
            self.unexpected(_START.replace("'(', '.'", "'(', ')', '.'"))
        args.append(self.expression())
        while self.accept(","):
            args.append(self.expression())
        self.expect(")", _after("')'"))
        return args

    def primary(self) -> Node:
        token = self.token
        kind = token.kind
        if kind == "ident" or kind == ".":
            return self.name()
        if kind == "(":
            self.take()
            tree = self.expression()
            self.expect(")", _after("')'"))
            return tree
        if kind == "[":
            return self.list()
        if kind == "{":
            self.take()
            return MapNode(at=token.at, entries=self.entries())
        reader = _LITERALS.get(kind)
        if reader is None and kind != "-":
            self.unexpected(_START)
        self.take()
        try:
            if kind == "-":
                number = self.take()
                if number.kind == "int":
                    return Literal(at=token.at, value=lexer.read_int(number.text, negative=True))
                return Literal(at=token.at, value=-lexer.read_float(number.text))
            assert reader is not None
            return Literal(at=token.at, value=reader(token.text))
        except ValueError as error:
            return self.problem(token.at, str(error))

    def name(self) -> Node:
        """An identifier, a call of a function, or an object: `.a.b.Name{…}`."""
        start = self.token
        leading = "." if self.accept(".") else ""
        if self.token.kind != "ident":
            self.unexpected("IDENTIFIER")
        token = self.take()
        if (brace := self.brace()) is not None:
            names = [token.text]
            while self.next < brace:
                names.append(self.tokens[self.next + 1].text)
                self.next += 2
            at = self.take().at
            return StructNode(at=at, name=leading + ".".join(names), entries=self.fields())
        if token.text in _RESERVED:
            if self.accept("("):
                self.arguments()
            return self.problem(start.at, f"reserved identifier: {token.text}")
        if open_ := self.accept("("):
            return self.call(open_.at, leading + token.text, self.arguments())
        return Ident(at=token.at, name=leading + token.text)

    def brace(self) -> int | None:
        """Where the `{` stands that makes the name at hand one of an object."""
        ahead = self.next
        while self.tokens[ahead].kind == "." and self.tokens[ahead + 1].kind == "ident":
            ahead += 2
        return ahead if self.tokens[ahead].kind == "{" else None

    def list(self) -> Node:
        at = self.take().at
        elements: list[Node] = []
        optional: set[int] = set()
        while not self.accept("]"):
            if elements and not self.accept(","):
                self.unexpected(_after("']'"))
            if self.accept("]"):
                break
            if not elements and self.accept(","):
                self.expect("]", "']'")
                break
            if self.accept("?"):
                optional.add(len(elements))
            elif self.token.kind == "end":
                self.unexpected(_START.replace("'[', '{', '('", "'[', ']', '{', '('").replace("'-', '!'", "',', '-', '!', '?'"))
            elements.append(self.expression())
        return ListNode(at=at, elements=elements, optional=frozenset(optional))

    def entries(self) -> list[Entry]:
        """What stands in the braces of a map."""
        found: list[Entry] = []
        while not self.accept("}"):
            if found and not self.accept(","):
                self.unexpected(_after("'}'"))
            if self.accept("}"):
                break
            if not found and self.accept(","):
                self.expect("}", "'}'")
                break
            optional = self.accept("?") is not None
            key = self.expression()
            colon = self.expect(":", _after("':'"))
            found.append(Entry(colon.at, key, self.expression(), optional))
        return found

    def fields(self) -> list[Entry]:
        """What stands in the braces of an object."""
        found: list[Entry] = []
        while not self.accept("}"):
            if found and not self.accept(","):
                self.unexpected(_after("'}'"))
            if self.accept("}"):
                break
            if not found and self.accept(","):
                self.expect("}", "'}'")
                break
            optional = self.accept("?") is not None
            name = self.expect("ident", "{'}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}")
            colon = self.expect(":", "':'")
            found.append(Entry(colon.at, name.text, self.expression(), optional))
        return found

    def call(self, at: int, function: str, args: list[Node], target: Node | None = None) -> Node:
        """A call, or what its macro makes of it."""
        macro = self.macros.get((function, len(args), target is not None))
        if macro is not None:
            try:
                expanded = macro(at, target, args)
            except MacroError as error:
                return self.problem(error.at if error.at >= 0 else at, error.message)
            if expanded is not None:
                return expanded
        return Call(at=at, function=function, args=args, target=target)


_LITERALS: dict[str, Callable[[str], Any]] = {
    "int": lexer.read_int, "uint": lexer.read_uint, "float": lexer.read_float, "string": lexer.read_string,
    "bytes": lexer.read_bytes, "true": lambda _: True, "false": lambda _: False, "null": lambda _: None,
}  # fmt: skip
