"""Bundles that have a log's promise in place of its proof, for the library `sigstore` (BEHAVIOUR 9.6).

The library wants a proof that the log has the entry. cosign 2 keeps the promise only: the log's signature of the entry
and its time. Here the promise stands for the proof, as it does for cosign 2; the library verifies it, and all the rest.
Where another version of the library does not call these methods, its own ones refuse the bundle.
"""

from typing import Any

from cryptography.x509 import load_der_x509_certificate
from sigstore.models import Bundle, InvalidBundle, TransparencyLogEntry


class _PromisedEntry(TransparencyLogEntry):
    """The entry of a log that promised to keep it."""

    def _validate(self) -> None:
        """Leave the proof alone; the promise is looked for when it is verified."""

    def _verify(self, keyring: Any) -> None:
        self._verify_set(keyring)


class PromisedBundle(Bundle):
    """A bundle of one certificate and one entry of a log."""

    def _verify(self) -> None:
        material = self._inner.verification_material
        if material.certificate is None or len(material.tlog_entries) != 1:
            raise InvalidBundle("one certificate and one entry of the log are expected")
        self._signing_certificate = load_der_x509_certificate(material.certificate.raw_bytes)
        self._log_entry = _PromisedEntry(material.tlog_entries[0])
