"""Lets a TLS handshake go on whatever certificate the client shows, so that a bad one is answered with 401.

`pki.server_context` uses it for the API server: Kubernetes asks for a certificate, takes any, and verifies it as part
of authentication (`authn/certificates.py`), so a client with an expired certificate reads a Status and may still come
in with a token. Python's ssl has no such mode; OpenSSL has (SSL_CTX_set_cert_verify_callback), and is reached here
through ctypes. TLS still proves that the client holds the key of the certificate it shows.

Where the interpreter is not CPython, or OpenSSL is not found, nothing is changed: then a bad certificate ends the
handshake, which is as safe but says less.
"""

from __future__ import annotations

import ctypes
import logging
import ssl
import sys
from typing import Any

log = logging.getLogger(__name__)

_VERIFY = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_accept = _VERIFY(lambda store, argument: 1)


def _library() -> Any:
    """The OpenSSL that this interpreter's ssl module is linked with."""
    import _ssl

    library = ctypes.CDLL(_ssl.__file__) if getattr(_ssl, "__file__", None) else ctypes.CDLL(None)
    library.SSL_CTX_get_verify_mode.argtypes = [ctypes.c_void_p]
    library.SSL_CTX_get_verify_mode.restype = ctypes.c_int
    library.SSL_CTX_set_cert_verify_callback.argtypes = [ctypes.c_void_p, _VERIFY, ctypes.c_void_p]
    library.SSL_CTX_set_cert_verify_callback.restype = None
    return library


def accept_any_client(context: ssl.SSLContext) -> bool:
    """Ask clients for a certificate and let any pass; False if that cannot be had here."""
    context.verify_mode = ssl.CERT_OPTIONAL
    if sys.implementation.name != "cpython":
        return False
    try:
        library = _library()
    except (ImportError, OSError, AttributeError) as error:
        log.info("clients with a bad certificate will be cut off in the handshake", extra={"reason": str(error)})
        return False
    # An SSLContext starts with its object header and then the pointer to OpenSSL's context (CPython Modules/_ssl.c).
    pointer = ctypes.c_void_p.from_address(id(context) + object.__basicsize__).value
    if not pointer or library.SSL_CTX_get_verify_mode(pointer) != int(ssl.CERT_OPTIONAL):
        return False
    library.SSL_CTX_set_cert_verify_callback(pointer, _accept, None)
    return True
