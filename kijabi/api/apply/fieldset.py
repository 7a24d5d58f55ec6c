"""Sets of fields, and their algebra. A set is the JSON value of FieldsV1 itself: a tree of steps (`elements.py`).

`{}` below a step says that the field is in the set; a step with others below it is in the set if one of them is `.`.
The whole set is such a tree too, of which `{}` is the empty one. So reading and writing cost what JSON costs, and
what two sets have in common can be the same object. Trees are shared: nobody writes to one.

`compare.py` and `typed.py` make sets, `updater.py` computes with them. The operations are those of
sigs.k8s.io/structured-merge-diff `fieldpath.Set`, with the same treatment of fields above and below one another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from kijabi.api.apply import elements
from kijabi.api.patch import bounded

Tree = dict[str, Any]  # of Trees
Path = tuple[str, ...]
LEAF: Tree = {}
SELF = "."
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


def union(left: Tree, right: Tree) -> Tree:
    """What is in either."""
    if not left or not right:
        return left or right
    out = dict(left)
    for step, node in right.items():
        mine = out.get(step)
        out[step] = node if mine is None else union_node(mine, node)
    return out


def union_node(left: Tree, right: Tree) -> Tree:
    """As `union`, of what stands below one step."""
    if left == right:
        return left
    merged = union(left, right)
    if SELF not in merged and not (left and right):  # one of them is the field itself
        return {SELF: LEAF, **merged}
    return merged


def _node(member: bool, below: Tree) -> Tree | None:
    """A node again; None if nothing is left."""
    if not below:
        return LEAF if member else None
    return {SELF: LEAF, **below} if member else below


def is_member(node: Tree) -> bool:
    """Whether the field at a node is in the set, whatever is below it."""
    return not node or SELF in node


def difference(left: Tree, right: Tree) -> Tree:
    """What is in the left set only. A field goes without those below it, and these without it."""
    out: Tree = {}
    for step, node in left.items():
        if step == SELF:
            continue
        other = right.get(step)
        if other is not None:
            kept = _node(is_member(node) and not is_member(other), difference(node, other))
            if kept is None:
                continue
            node = kept
        out[step] = node
    return out


def without(left: Tree, right: Tree) -> Tree:
    """What is in the left set and neither in the right one nor below a field of it."""
    out: Tree = {}
    for step, node in left.items():
        if step == SELF:
            continue
        other = right.get(step)
        if other is not None:
            if is_member(other):
                continue
            kept = _node(is_member(node), without(node, other))
            if kept is None:
                continue
            node = kept
        out[step] = node
    return out


def intersection(left: Tree, right: Tree) -> Tree:
    """What is in both."""
    out: Tree = {}
    for step, node in left.items():
        other = right.get(step)
        if other is not None and step != SELF:
            kept = _node(is_member(node) and is_member(other), intersection(node, other))
            if kept is not None:
                out[step] = kept
    return out


def matching(tree: Tree, patterns: tuple[Path, ...]) -> Tree:
    """What lies on the way to, at or below one of the patterns; `*` in a pattern is any step."""
    if not all(patterns):
        return tree
    out: Tree = {}
    for step, node in tree.items():
        rests = tuple(pattern[1:] for pattern in patterns if pattern[0] in (step, "*"))
        if rests and step != SELF:
            below = matching({key: value for key, value in node.items() if key != SELF}, rests)
            kept = _node(is_member(node), below)
            if kept is not None:
                out[step] = kept
    return out


def covers(left: Tree, right: Tree) -> bool:
    """Whether all of the right set is in the left one."""
    for step, node in right.items():
        mine = left.get(step)
        if mine is None:
            if step == SELF and not left:
                continue
            return False
        if not node:
            if mine and SELF not in mine:
                return False
        elif not covers(mine, node):
            return False
    return True


def has(tree: Tree, path: Path) -> bool:
    """Whether a field is in the set."""
    node: Tree | None = tree
    for step in path:
        node = node.get(step) if node else None
        if node is None:
            return False
    return bool(path) and node is not None and is_member(node)


def of(*paths: Path) -> Tree:
    """The set of these fields."""
    tree: Tree = {}
    for path in paths:
        one: Tree = LEAF
        for step in reversed(path):
            one = {step: one}
        tree = union(tree, one)
    return tree


def paths(tree: Tree, above: Path = ()) -> Iterator[Path]:
    """The fields of the set in order: of each level first the fields, then what is below them."""
    steps = sorted((step for step in tree if step != SELF), key=elements.order)
    for step in steps:
        if is_member(tree[step]):
            yield (*above, step)
    for step in steps:
        yield from paths(tree[step], (*above, step))


def shown(path: Path) -> str:
    """A path as error messages show it: `.spec.containers[name="x"].image`."""
    return "".join(map(elements.shown, path))


def encode(tree: Tree) -> bytes:
    """FieldsV1, each level in its order."""
    data = _encode_sorted(tree)
    return _encode(_sorted(tree)) if _is_odd(data) else data


def _is_odd(data: bytes) -> bool:
    """Whether there may be steps whose order is not that of their texts.

    Keys that are no texts (several, for one alone has nobody to stand before), and in texts escapes and characters
    that come before a quotation mark.
    """
    if data.count(b'\\":') - data.count(b'\\":\\"') > 1:
        return True
    return b'"v:' in data or b'"i:' in data or b"\\\\" in data or b" " in data or b"!" in data


def _sorted(tree: Tree) -> Tree:
    if len(tree) == 1:
        ((step, node),) = tree.items()
        return {step: _sorted(node)} if node else tree
    out: Tree = {}
    steps = sorted(tree)
    if steps[-1][0] != "f":  # members of objects sort by their text; others by what it says
        steps = sorted((step for step in steps if step != SELF), key=elements.order)
        if SELF in tree:
            out[SELF] = LEAF
    for step in steps:
        node = tree[step]
        out[step] = _sorted(node) if node else node
    return out


def decode(data: bytes | msgspec.Raw) -> Tree:
    """FieldsV1 that this server wrote. Raises ValueError."""
    try:
        return _decode(data)
    except (msgspec.MsgspecError, RecursionError) as problem:
        raise ValueError(str(problem)) from None


def read(data: bytes | msgspec.Raw) -> Tree:
    """FieldsV1 that a client wrote, made canonical. Raises ValueError with what is wrong."""
    return _canonical(bounded(decode(data)))


def _canonical(tree: Tree) -> Tree:
    out: Tree = {}
    for text, node in tree.items():
        if text == SELF:
            out[SELF] = LEAF
            continue
        step = elements.canonical(text)
        if step is None:
            continue
        if not isinstance(node, dict):
            raise ValueError(f"expected an object below {text}")
        below = _canonical(node)
        below = LEAF if below.keys() <= {SELF} else below
        out[step] = union_node(out[step], below) if step in out else below
    return out
