"""Blocks of PEM (RFC 7468), found as Go's encoding/pem finds them, and what is wrong with certificates in them.

`rules.py` reads requests, chains and bundles with it. What is no well-formed block is passed over.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cryptography import x509

_BLOCK = re.compile(
    r"^-----BEGIN (?P<type>[^\n-]*)-----[ \t\r]*\n(?P<body>.*?)^-----END (?P=type)-----[ \t\r]*$",
    re.MULTILINE | re.DOTALL,
)
# As Go's net/mail takes an address: atoms between dots, or quoted; with a name before it in angle brackets.
_ATOM = r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\x80-\U0010ffff]+"
_QUOTED = r'"(?:[^"\\\r\n]|\\.)*"'
_PLAIN = rf"(?:{_ATOM}(?:\.{_ATOM})*|{_QUOTED})@(?:{_ATOM}(?:\.{_ATOM})*|\[[^\[\]\\\r\n]*\])"
_ADDRESS = re.compile(rf"\s*(?:{_PLAIN}|(?:(?:{_ATOM}|{_QUOTED})[\s.]*)*<\s*{_PLAIN}\s*>)\s*")


class Block(NamedTuple):
    """One block. headers: whether lines of the form `name: value` stand before its content."""

    type: str
    content: bytes
    headers: bool


def blocks(text: str) -> Iterator[Block]:
    """The blocks in a text, in order."""
    for match in _BLOCK.finditer(text):
        body, headers = match["body"], False
        lines = body.splitlines()
        if lines and ":" in lines[0]:
            headers = True
            while lines and ":" in lines[0]:
                lines.pop(0)
            body = "\n".join(lines)
        try:
            content = base64.b64decode("".join(body.split()), validate=True)
        except (binascii.Error, ValueError):
            continue
        yield Block(match["type"], content, headers)


def certificate(content: bytes) -> x509.Certificate:
    """A certificate with extensions that can be read. Raises ValueError."""
    from cryptography import x509

    try:
        found = x509.load_der_x509_certificate(content)
        for extension in found.extensions:
            _ = extension.value
    except (x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType, TypeError) as error:
        raise ValueError(str(error)) from error
    return found


def chain_problem(text: str) -> str:
    """What is wrong with a text of certificates, one after the other."""
    found = list(blocks(text))
    for block in found:
        if block.type != "CERTIFICATE":
            return f'only CERTIFICATE PEM blocks are allowed, found "{block.type}"'
        if block.headers:
            return "no PEM block headers are permitted"
        try:
            certificate(block.content)
        except ValueError as problem:
            return str(problem)
    return "" if found else "must contain at least one CERTIFICATE PEM block"


def names(leaf: x509.Certificate) -> tuple[list[str], list[str]]:
    """The DNS names and the e-mail addresses that a certificate is for."""
    from cryptography import x509

    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [], []
    return found.get_values_for_type(x509.DNSName), found.get_values_for_type(x509.RFC822Name)


def is_address(text: str) -> bool:
    """Whether a text is one e-mail address."""
    return _ADDRESS.fullmatch(text) is not None
