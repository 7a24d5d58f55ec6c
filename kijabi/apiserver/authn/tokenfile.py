"""Static tokens: a file of lines `token,user,uid,"group,group"` (documentation "Authenticating", static token file).

`build.py` reads the file of `--token-auth-file` once; `bearer.py` asks.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from kijabi.apiserver.attributes import UserInfo
from kijabi.apiserver.authn.bearer import Authenticated, meant
from kijabi.base.errors import ConfigError

log = logging.getLogger(__name__)

MAX_TOKENS = 100_000


class StaticTokens:
    """Knows users by tokens that were given to them. audiences: of the API server."""

    def __init__(self, users: Mapping[str, UserInfo], audiences: Sequence[str]) -> None:
        self._users = users
        self._audiences = tuple(audiences)

    def authenticate_token(self, token: str, audiences: Sequence[str] = ()) -> Authenticated | None:
        """See Local."""
        user = self._users.get(token)
        if user is None:
            return None
        fitting = meant(audiences, self._audiences)
        return Authenticated(user, fitting) if fitting else None


def read(path: Path) -> dict[str, UserInfo]:
    """The users of a file, by their tokens. Raises ConfigError."""
    users: dict[str, UserInfo] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for number, row in enumerate(csv.reader(file, strict=True), 1):
                if not row:
                    continue
                if len(row) < 3:
                    raise ConfigError(
                        f"token file '{path}' must have at least 3 columns (token, user name, user uid), "
                        f"found {len(row)}"
                    )
                token, name, uid, *more = row
                if not token:
                    log.warning("empty token in the token file", extra={"path": str(path), "record": number})
                    continue
                if token in users:
                    log.warning("a token comes twice in the token file", extra={"path": str(path), "record": number})
                users[token] = UserInfo(name, uid=uid, groups=tuple(more[0].split(",")) if more else ())
                if len(users) > MAX_TOKENS:
                    raise ConfigError(f"token file '{path}' has more than {MAX_TOKENS} tokens")
    except (OSError, UnicodeError, csv.Error) as error:
        raise ConfigError(f"cannot read the token file {path}: {error}") from error
    return users
