"""How service accounts, nodes and people without a name are called as users, and what groups they are in.

Source: k8s.io/apiserver `pkg/authentication/{serviceaccount,user}`.
"""

from __future__ import annotations

from kijabi.api.formats import dns_label, dns_subdomain

ANONYMOUS = "system:anonymous"
AUTHENTICATED, UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"
NODES, MASTERS = "system:nodes", "system:masters"
CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"
NODE_NAME = "authentication.kubernetes.io/node-name"
ACCOUNT_PREFIX = "system:serviceaccount:"
NODE_PREFIX = "system:node:"


def user(namespace: str, name: str) -> str:
    """How a service account is called as a user."""
    return f"{ACCOUNT_PREFIX}{namespace}:{name}"


def split(name: str) -> tuple[str, str] | None:
    """Namespace and name of a service account by its user name; None if it is no such name."""
    if not name.startswith(ACCOUNT_PREFIX):
        return None
    parts = name.removeprefix(ACCOUNT_PREFIX).split(":")
    if len(parts) != 2 or dns_label(parts[0]) or dns_subdomain(parts[1]):
        return None
    return parts[0], parts[1]


def groups(namespace: str) -> tuple[str, str]:
    """The groups that every service account of a namespace is in."""
    return "system:serviceaccounts", f"system:serviceaccounts:{namespace}"


def node(name: str) -> str:
    """The node that a user name is of, "" if it is of none."""
    plain = name.removeprefix(NODE_PREFIX)
    return "" if plain == name or dns_subdomain(plain) else plain
