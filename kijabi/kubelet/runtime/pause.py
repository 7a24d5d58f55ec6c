"""The pause image: the process that holds a pod's namespaces, a 230-byte program that we assemble ourselves.

`containerd` imports it before anything else, so that a node needs no registry to start its first pod. The program
sleeps in rt_sigtimedwait; on SIGCHLD it reaps orphans (with a shared PID namespace it is their parent); on SIGTERM or
SIGINT it exits.
"""

from __future__ import annotations

import struct

from kijabi.base.errors import ConfigError
from kijabi.kubelet.runtime import oci

NAME = "registry.k8s.io/pause:kijabi-1"
_SIG_SETMASK, _WNOHANG = 2, 1
_SIGINT, _SIGTERM, _SIGCHLD = 2, 15, 17
# System call numbers of x86-64.
_RT_SIGPROCMASK, _WAIT4, _RT_SIGTIMEDWAIT, _EXIT_GROUP = 14, 61, 128, 231
_BASE = 0x400000


def archive() -> bytes:
    """The pause image as an archive for `ctr images import`."""
    if oci.architecture() != "amd64":
        raise ConfigError(f"no pause program for {oci.architecture()}: configure a sandbox image")
    config = oci.ImageConfig(entrypoint=("/pause",), user="65535:65535")
    return oci.image(NAME, oci.layer_of({"pause": oci.File(0o755, program())}), config)


def program() -> bytes:
    """A static x86-64 ELF executable: two headers and the code right after them."""
    code = _assemble()
    start = 64 + 56
    size = start + len(code)
    identity = b"\x7fELF\x02\x01\x01" + b"\0" * 9
    header = identity + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, _BASE + start, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return header + segment + code


class _Code(bytearray):
    """Machine code under construction, with short jumps to labels."""

    def __init__(self) -> None:
        super().__init__()
        self._labels: dict[str, int] = {}
        self._jumps: list[tuple[int, str]] = []

    def put(self, text: str) -> None:
        """Append bytes given as hexadecimal."""
        self.extend(bytes.fromhex(text))

    def label(self, name: str) -> None:
        """Name this place."""
        self._labels[name] = len(self)

    def jump(self, opcode: str, name: str) -> None:
        """A jump with a one-byte distance."""
        self.put(opcode + "00")
        self._jumps.append((len(self) - 1, name))

    def finish(self) -> bytes:
        """Fill in the distances."""
        for place, name in self._jumps:
            self[place] = (self._labels[name] - (place + 1)) & 0xFF
        return bytes(self)


def _number(value: int) -> str:
    return struct.pack("<I", value).hex()


def _assemble() -> bytes:
    code = _Code()
    code.put("4883ec1048c70424ffffffff")  # sub rsp,16; mov qword [rsp],-1: the set of all signals
    code.put("b8" + _number(_RT_SIGPROCMASK) + "bf" + _number(_SIG_SETMASK))  # block them all
    code.put("4889e631d241ba080000000f05")  # rsi=rsp, rdx=0, r10=8 (size of the set), syscall
    code.label("wait")
    code.put("b8" + _number(_RT_SIGTIMEDWAIT) + "4889e731f631d241ba080000000f05")
    for number, target in ((_SIGCHLD, "reap"), (_SIGTERM, "exit"), (_SIGINT, "exit")):
        code.put(f"83f8{number:02x}")  # cmp eax,number
        code.jump("74", target)  # je
    code.jump("eb", "wait")
    code.label("reap")
    code.put("b8" + _number(_WAIT4) + "48c7c7ffffffff31f6ba" + _number(_WNOHANG) + "4531d20f05")
    code.put("85c0")  # test eax,eax
    code.jump("7f", "reap")  # jg: one reaped, there may be more
    code.jump("eb", "wait")
    code.label("exit")
    code.put("b8" + _number(_EXIT_GROUP) + "31ff0f05")
    return code.finish()
