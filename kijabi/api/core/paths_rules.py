"""Paths in file systems, as volumes, mounts and profiles give them.

`volume_rules.py`, `container_rules.py` and `security_rules.py` call these. Texts are those of k8s.io/kubernetes
`pkg/apis/core/validation`.
"""

from __future__ import annotations

from kijabi.api.resource import FieldError
from kijabi.api.validation import invalid


def no_backsteps(path: str, text: str) -> list[FieldError]:
    """An error if the path goes up anywhere."""
    return [invalid(path, text, "must not contain '..'")] if ".." in text.split("/") else []


def descending(path: str, text: str) -> list[FieldError]:
    """Errors of a path that must stay below where it starts."""
    errors = [invalid(path, text, "must be a relative path")] if text.startswith("/") else []
    return errors + no_backsteps(path, text)


def unreserved(path: str, text: str) -> list[FieldError]:
    """As `descending`, and not of a name that the kubelet keeps for itself."""
    errors = descending(path, text)
    if text.startswith("..") and not text.startswith("../"):
        errors.append(invalid(path, text, "must not start with '..'"))
    return errors


def file_mode(path: str, mode: int | None, most: int = 0o777) -> list[FieldError]:
    """Errors of a file's permissions."""
    detail = f"must be a number between 0 and 0{most:o} (octal), both inclusive"
    return [invalid(path, mode, detail)] if mode is not None and not 0 <= mode <= most else []
