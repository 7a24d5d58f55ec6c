"""The message that a container leaves when it ends: a file of its own, or the tail of its log.

`cache.RuntimeCache` calls `Messages.enrich` once for every container that ended. Limits are those of
"Determine the Reason for Pod Failure": 4096 bytes from the file, 2048 bytes or 80 lines from the log.
"""

from __future__ import annotations

import msgspec

from kijabi.kubelet.logs import lines_of
from kijabi.kubelet.runtime.interface import ContainerInfo
from kijabi.kubelet.view import MESSAGE_FILE, MESSAGE_POLICY
from kijabi.kubelet.volumes.files import MESSAGE_LIMIT, Files

LOG_BYTES, LOG_LINES = 2048, 80
FALLBACK = "FallbackToLogsOnError"


class Messages:
    """Reads termination messages."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def enrich(self, info: ContainerInfo) -> ContainerInfo:
        """The ended container with the message it left added to what the runtime says."""
        path = info.annotations.get(MESSAGE_FILE, "")
        text = ""
        try:
            if path:
                text = self._files.read_tail(path, MESSAGE_LIMIT).decode("utf-8", "replace")
            policy = info.annotations.get(MESSAGE_POLICY, "")
            if not text and policy == FALLBACK and info.exit_code != 0 and info.log_path:
                raw = self._files.read_tail(info.log_path, 4 * LOG_BYTES)
                found = b"".join(lines_of(raw, partial_first=True)[-LOG_LINES:])[-LOG_BYTES:]
                text = found.decode("utf-8", "replace")
        except OSError as problem:
            text = f"Error on reading termination log {path}: {problem}"
        if not text:
            return info
        message = f"{info.message}: {text}" if info.message else text
        return msgspec.structs.replace(info, message=message)
