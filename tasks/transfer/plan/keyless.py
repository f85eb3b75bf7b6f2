"""Signatures without keys of the signers, by certificates of an authority that is trusted (BEHAVIOUR 9.6).

The library `sigstore` verifies certificate, both logs and signature, by a trust root in a file: it asks no service.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tasks.errors import SettingsInvalid
from tasks.oci.cosign_layer import bundle_of
from tasks.oci.digest import Digest
from tasks.oci.signatures import SignerIdentity, is_about, names

if TYPE_CHECKING:
    from sigstore.verify import Verifier
    from sigstore.verify.policy import VerificationPolicy

LOG: Final = logging.getLogger(__name__)


class TrustRoot:
    """A trust root in the form of sigstore's `trusted_root.json`; the file is read once, at the first use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._guard = threading.Lock()
        self._verifier: Verifier | None = None

    def signs(self, bundle: bytes, digest: Digest, identities: Sequence[SignerIdentity]) -> bool:
        """Tell whether one of the identities signed a bundle's statement, and the digest is one of its subjects.

        Raises SettingsInvalid if the trust root cannot be used.
        """
        verifier = self._opened()
        from sigstore.models import Bundle  # noqa: PLC0415 - an extra

        try:
            payload_type, payload = verifier.verify_dsse(Bundle.from_json(bundle), _policy(identities))
        except Exception as error:  # noqa: BLE001 - whatever a stranger's bundle causes, it is no valid signature
            LOG.info("A bundle on %s is not valid: %s", digest, error)
            return False
        return is_about(payload_type, payload, digest)

    def signs_payload(
        self,
        payload: bytes,
        annotations: Mapping[str, str | None],
        digest: Digest,
        identities: Sequence[SignerIdentity],
    ) -> bool:
        """Tell whether one of the identities signed a cosign payload that names the digest (cosign SIGNATURE_SPEC.md).

        The annotations are those of the payload's layer. Raises SettingsInvalid if the trust root cannot be used.
        """
        verifier = self._opened()
        from tasks.transfer.plan.log_promises import PromisedBundle  # noqa: PLC0415 - an extra

        try:
            bundle = PromisedBundle.from_json(bundle_of(annotations))
            verifier.verify_artifact(payload, bundle, _policy(identities))
        except Exception as error:  # noqa: BLE001 - as above
            LOG.info("A signature of %s under its tag is not valid: %s", digest, error)
            return False
        return names(payload, digest)

    def _opened(self) -> "Verifier":
        with self._guard:
            if self._verifier is None:
                self._verifier = self._open()
            return self._verifier

    def _open(self) -> "Verifier":
        try:
            from sigstore.models import TrustedRoot  # noqa: PLC0415 - an extra
            from sigstore.verify import Verifier  # noqa: PLC0415
        except ImportError:
            raise SettingsInvalid("Identities of signers need the extra `keyless` of this program.") from None
        try:
            return Verifier(trusted_root=TrustedRoot.from_file(str(self.path)))
        except OSError as error:
            raise SettingsInvalid(f"signatures.trusted_root: {self.path} cannot be read: {error.strerror}.") from None
        except Exception as error:  # noqa: BLE001 - the library has many errors for a file of another form
            reason = str(error).partition("\n")[0]
            raise SettingsInvalid(f"signatures.trusted_root: {self.path} is not a trust root: {reason}.") from None


def _policy(identities: Sequence[SignerIdentity]) -> "VerificationPolicy":
    from sigstore.verify.policy import AnyOf, Identity  # noqa: PLC0415 - an extra

    return AnyOf([Identity(identity=each.identity, issuer=each.issuer) for each in identities])
