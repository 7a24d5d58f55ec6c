"""Reads an expression into nodes: recursive descent over the grammar of the CEL language definition.

The lexer gives the words, `macros.py` expands the calls that are macros, the checker takes the tree. Limits are those
of cel-go: 100,000 characters, 250 levels of nesting, where a chain (`a.b.c`, `a + b + c`) counts as nested. Texts of
errors are those of upstream's generated parser. It goes on after a word too many or too few, as that does, and gives up
at what does not fit at all.
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
    ">": ("_>_", 3, "relation"), "==": ("_==_", 3, "relation"), "!=": ("_!=_", 3, "relation"),
    "in": ("@in", 3, "relation"),
    "+": ("_+_", 4, "calc"), "-": ("_-_", 4, "calc"),
    "*": ("_*_", 5, "calc"), "/": ("_/_", 5, "calc"), "%": ("_%_", 5, "calc"),
}  # fmt: skip
_LITERAL_START = "'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
_START = "{'[', '{', '(', '.', '-', '!', " + _LITERAL_START
_ARGUMENT = "{'[', '{', '(', ')', '.', '-', '!', " + _LITERAL_START
_INDEX = "{'[', '{', '(', '.', '-', '!', '?', " + _LITERAL_START
_ELEMENT = "{'[', ']', '{', '(', '.', ',', '-', '!', '?', " + _LITERAL_START
_KEY = "{'[', '{', '}', '(', '.', ',', '-', '!', '?', " + _LITERAL_START
_FIELD = "{'}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}"
_BEGINNINGS = frozenset((
    "[", "{", "(", ".", "-", "!", "true", "false", "null", "float", "int", "uint", "string", "bytes", "ident",
))  # fmt: skip


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
        self.nesting = 0
        self.recovering = False
        self.levels = {"expr": 0, "relation": 0, "calc": 0, "member": 0}

    # Words

    @property
    def token(self) -> Token:
        return self.tokens[self.next]

    @property
    def ahead(self) -> str:
        """The kind of the word behind this one."""
        return self.tokens[min(self.next + 1, len(self.tokens) - 1)].kind

    def take(self) -> Token:
        token = self.tokens[self.next]
        self.next += token.kind != "end"
        self.recovering = False
        return token

    def accept(self, kind: str) -> Token | None:
        return self.take() if self.tokens[self.next].kind == kind else None

    def report(self, message: str) -> None:
        """Note a syntax error at this word, unless no word has fitted since the last one."""
        if not self.recovering:
            self.recovering = True
            self.issues.add(self.token.at, f"Syntax error: {message}")

    def shown(self) -> str:
        return lexer.shown(self.token.text)

    def expect(self, kind: str, expecting: str = "", *, then: frozenset[str] = frozenset()) -> Token:
        """A word that must come here. One too many is skipped; a missing one is made up where the next may follow."""
        found = self.accept(kind)
        if found is not None:
            return found
        expecting = expecting or f"'{kind}'"
        token = self.token
        if self.ahead == kind and token.kind != "end":
            self.report(f"extraneous input '{self.shown()}' expecting {expecting}")
            self.take()
            return self.take()
        if token.kind in then and (token.kind != "end" or self.nesting == 1):
            self.report(f"missing '{kind}' at '{self.shown()}'")
            return Token(kind, kind, token.at)
        return self.unexpected(expecting)

    def unexpected(self, expecting: str) -> NoReturn:
        self.report(f"mismatched input '{self.shown()}' expecting {expecting}")
        raise _Stop

    def close(self, kind: str, *, many: bool = False) -> None:
        """The bracket behind the last item."""
        if many and self.token.kind != kind:
            wanted = f"{{'{kind}', ','}}"
            if self.ahead != kind or self.token.kind == "end":
                self.unexpected(wanted)
            self.report(f"extraneous input '{self.shown()}' expecting {wanted}")
            self.take()
        self.expect(kind, then=frozenset(("end",)))
        self.nesting -= 1

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
            self.report(f"{word} input '{lexer.shown(token.text)}' expecting <EOF>")
            raise _Stop
        return tree

    def expression(self, expecting: str = _START) -> Node:
        """`or ? or : expression`. expecting: what upstream says where none begins here."""
        self.deepen("expr")
        if self.token.kind not in _BEGINNINGS:
            self.begin(expecting)
        tree = self.binary(1)
        if mark := self.accept("?"):
            chosen = self.binary(1)
            self.expect(":", then=_BEGINNINGS)
            tree = self.call(mark.at, "_?_:_", [tree, chosen, self.expression()])
        for rule in ("expr", "relation", "calc"):
            self.levels[rule] -= 1
        return tree

    def begin(self, expecting: str) -> None:
        """Skip a word that stands before an expression, or give up."""
        token = self.token
        if token.kind != "end" and self.tokens[self.next + 1].kind in _BEGINNINGS:
            self.report(f"extraneous input '{self.shown()}' expecting {expecting}")
            self.take()
            self.recovering = True
            return
        self.report(f"mismatched input '{self.shown()}' expecting {expecting}")
        if token.kind not in _OPERATORS:
            raise _Stop

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
            self.after_signs(sign)
        before = self.levels["member"]
        self.deepen("member")
        tree = self.primary()
        while True:
            if dot := self.accept("."):
                self.deepen("member")
                tree = self.after_dot(tree, dot)
            elif bracket := self.accept("["):
                self.deepen("member")
                self.nesting += 1
                function = "_[?_]" if self.accept("?") else "_[_]"
                index = self.expression(_INDEX if function == "_[_]" else _START)
                self.close("]")
                tree = self.call(bracket.at, function, [tree, index])
            else:
                break
        self.levels["member"] = before
        return self.call(sign.at, "!_" if sign.kind == "!" else "-_", [tree]) if signs % 2 else tree

    def after_signs(self, sign: Token) -> None:
        """What may not stand behind `!` or `-`."""
        token = self.token
        if token.kind == "end" and sign.kind == "!":
            self.report(f"extraneous input '<EOF>' expecting {_START}")
            raise _Stop
        if sign.kind == "-" and token.kind == "end":
            self.report("no viable alternative at input '-'")
            self.recovering = False
            self.unexpected(_START)
        if sign.kind == "-" and token.kind == "!":
            self.report("no viable alternative at input '-!'")
            raise _Stop
        if sign.kind == "!" and token.kind == "-" and self.tokens[self.next + 1].kind not in ("int", "float"):
            self.take()
            self.report(f"no viable alternative at input '-{'' if self.token.kind == 'end' else self.shown()}'")
            raise _Stop

    def after_dot(self, operand: Node, dot: Token) -> Node:
        optional = self.accept("?") is not None
        if self.token.kind not in ("ident", "escaped"):
            return self.no_name(operand, optional)
        name = self.take()
        field = name.text if name.kind == "ident" else name.text[1:-1]
        if not optional and name.kind == "ident" and (open_ := self.accept("(")):
            return self.call(open_.at, field, self.arguments(), operand)
        if optional:
            return Call(at=dot.at, function="_?._", args=[operand, Literal(at=name.at, value=field)])
        return Select(at=dot.at, operand=operand, field=field)

    def no_name(self, operand: Node, optional: bool) -> Node:
        """A dot without a name behind it: an operator may still go on."""
        token = self.token
        if optional:
            self.report(f"mismatched input '{self.shown()}' expecting {{IDENTIFIER, ESC_IDENTIFIER}}")
            self.issues.add(token.at, "unsupported ident kind")
        elif token.kind in ("true", "false", "null"):
            self.report(f"mismatched input '{token.text}' expecting IDENTIFIER")
        else:
            self.report(f"no viable alternative at input '.{'' if token.kind == 'end' else self.shown()}'")
        if token.kind in _OPERATORS:
            return operand
        raise _Stop

    def arguments(self) -> list[Node]:
        self.nesting += 1
        args: list[Node] = []
        if self.token.kind not in (")", *_BEGINNINGS) and self.ahead == ")":
            self.report(f"extraneous input '{self.shown()}' expecting {_ARGUMENT}")
            self.take()
        if self.token.kind != ")":
            args.append(self.expression(_ARGUMENT))
            while self.accept(","):
                args.append(self.expression())
        self.close(")")
        return args

    def primary(self) -> Node:
        token = self.token
        kind = token.kind
        if kind == "ident" or kind == ".":
            return self.name()
        if kind == "(":
            self.take()
            self.nesting += 1
            tree = self.expression()
            self.close(")")
            return tree
        if kind == "[":
            return self.list_()
        if kind == "{":
            self.take()
            return MapNode(at=token.at, entries=self.entries())
        reader = _LITERALS.get(kind)
        if reader is None and kind != "-":
            self.begin(_START)
            if self.token.kind in _OPERATORS and self.token.kind != "-":
                return Literal(at=token.at, value=None)
            return self.primary()
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
            self.report(f"no viable alternative at input '.{'' if self.token.kind == 'end' else self.shown()}'")
            raise _Stop
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

    def list_(self) -> Node:
        at = self.take().at
        self.nesting += 1
        elements: list[Node] = []
        optional: set[int] = set()
        while self.more(elements, "]"):
            if self.accept("?"):
                optional.add(len(elements))
            elements.append(self.expression(_START if elements else _ELEMENT))
        return ListNode(at=at, elements=elements, optional=frozenset(optional))

    def more(self, before: list[Any], closing: str) -> bool:
        """Whether another item follows those before; takes the comma, or the closing bracket."""
        if self.token.kind == closing:
            self.close(closing)
            return False
        if not before:
            if self.token.kind == "," and self.accept(","):
                self.close(closing)
                return False
            return True
        if not self.accept(","):
            self.close(closing, many=True)
            return False
        if self.token.kind in _BEGINNINGS or self.token.kind in ("?", "escaped"):
            return True
        self.close(closing)
        return False

    def entries(self) -> list[Entry]:
        """What stands in the braces of a map."""
        self.nesting += 1
        found: list[Entry] = []
        while self.more(found, "}"):
            optional = self.accept("?") is not None
            key = self.expression(_START if found else _KEY)
            colon = self.expect(":", then=_BEGINNINGS)
            found.append(Entry(colon.at, key, self.expression(), optional))
        return found

    def fields(self) -> list[Entry]:
        """What stands in the braces of an object."""
        self.nesting += 1
        found: list[Entry] = []
        while self.more(found, "}"):
            optional = self.accept("?") is not None
            name = self.accept("escaped") or self.expect("ident", _FIELD)
            field = name.text if name.kind == "ident" else name.text[1:-1]
            colon = self.expect(":", then=_BEGINNINGS)
            found.append(Entry(colon.at, field, self.expression(), optional))
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
