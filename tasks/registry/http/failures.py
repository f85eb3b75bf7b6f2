"""The errors of sockets, TLS and messages in this project's terms: without URLs, divided by whether to try again."""

import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tasks.errors import RegistryError, ResponseInvalid
from tasks.patterns import late
from tasks.registry.http.message_faults import AnswerMalformed, RequestMalformed
from tasks.registry.http.retry import Transient

if TYPE_CHECKING:
    import ssl

# Every error that the other side can cause.
FAILURES: Final = (AnswerMalformed, RequestMalformed, OSError, UnicodeError)

_BY_PROXY: Final = late(r"Tunnel connection failed: ([0-9]{3}[ -~]{0,80})")
_CERTIFICATE: Final = "the certificate cannot be verified"
# OpenSSL's names for a peer that refuses, or does not speak TLS: another try would fail too.
_SPEAKS_NO_TLS: Final = ("WRONG_VERSION", "RECORD_LAYER", "HTTP_REQUEST", "PACKET_LENGTH")
_TLS_REFUSALS: Final = ("ALERT", "UNSUPPORTED", *_SPEAKS_NO_TLS)
_NO_TLS: Final = " If it speaks plain HTTP, set `plain_http` of this registry to true."


class NoConnectionError(TimeoutError):
    """No connection within the time allowed."""


def is_certificate_fault(error: BaseException) -> bool:
    """Tell whether an error from `normalise` means that the peer speaks TLS with an untrusted certificate."""
    return isinstance(error, ResponseInvalid) and _CERTIFICATE in error.message


def normalise(error: BaseException, what: str) -> Transient | RegistryError:
    """Return the error to raise instead of `error`; `what` is the request (method, host and path)."""
    import ssl  # noqa: PLC0415 - what speaks plain HTTP, and does not fail, needs no TLS

    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return ResponseInvalid(
                f"{what}: {_CERTIFICATE} ({cause.verify_message}). Name its authority in `ca_file` (by --src-cert-dir"
                " or --dest-cert-dir on the command line), or set `tls_verify` to false for this registry."
            )
        if isinstance(cause, ssl.SSLError) and any(word in (cause.reason or "") for word in _TLS_REFUSALS):
            told = f"{what}: TLS failed ({(cause.reason or '').replace('_', ' ').lower()})."
            return ResponseInvalid(told + (_NO_TLS if _speaks_no_tls(cause) else ""))
        if isinstance(cause, RequestMalformed | UnicodeError):
            return ResponseInvalid(f"{what}: this is not an address that one can connect to.")
    return Transient(f"{what}: {_reason(causes)}")


def _speaks_no_tls(error: "ssl.SSLError") -> bool:
    return any(word in (error.reason or "") for word in _SPEAKS_NO_TLS)


def _reason(causes: list[BaseException]) -> str:
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return "the name of the host cannot be resolved"
    if refused := next((match[1] for cause in causes if (match := _BY_PROXY().match(str(cause)))), None):
        return f"the proxy answered {refused}"
    if refused := next((str(cause) for cause in causes if _is_refusal_of_socks(cause)), None):
        return f"the proxy answered: {refused}"
    if any(isinstance(cause, NoConnectionError) for cause in causes):
        return "no connection within the time allowed"
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return "the registry sent nothing within the time allowed"
    numbered = (cause.strerror for cause in causes if isinstance(cause, OSError) and cause.errno and cause.strerror)
    return next((str(text).lower() for text in numbered), "the connection was lost")


def _is_refusal_of_socks(cause: BaseException) -> bool:
    """Tell whether a SOCKS proxy refused: PySocks, imported only for one, wraps other errors by `socket_err`."""
    return type(cause).__module__ == "socks" and getattr(cause, "socket_err", None) is None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all errors inside: libraries wrap by argument, by `reason`, by `socket_err` and by cause."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop(0)
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        inner = (getattr(cause, name, None) for name in ("reason", "socket_err"))
        waiting += [*cause.args, *inner, cause.__cause__, cause.__context__]
