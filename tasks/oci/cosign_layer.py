"""A signature without a key under cosign's tag, as a sigstore bundle. Pure (BEHAVIOUR 9.6).

cosign 2 keeps the parts of a bundle apart, as annotations of the payload's layer (cosign SIGNATURE_SPEC.md): the
signature, the certificate, and the entry of the transparency log with the log's promise to keep it. It keeps no proof
that the log did so. The chain of the certificate may stand there too; a trust root has one of its own.
"""

import base64
from collections.abc import Mapping
from typing import Final

import msgspec

from tasks.oci.signatures import BUNDLE, SIGNATURE

CERTIFICATE: Final = "dev.sigstore.cosign/certificate"
LOGGED: Final = "dev.sigstore.cosign/bundle"
# The form of a bundle wants a proof. This one proves nothing.
_NO_PROOF: Final = {"logIndex": "0", "rootHash": "", "treeSize": "1", "hashes": list[str]()}


class _Entry(msgspec.Struct, rename="camel"):
    """The entry of the log; `body` is in base64, the times are in seconds since the epoch."""

    body: str
    integrated_time: int
    log_index: int
    log_id: str = msgspec.field(name="logID")


class _Logged(msgspec.Struct, rename="pascal"):
    """The bundle annotation of cosign; `SignedEntryTimestamp` is the log's signature of the entry."""

    signed_entry_timestamp: str
    payload: _Entry


class _Body(msgspec.Struct, rename="camel"):
    kind: str
    api_version: str


def bundle_of(annotations: Mapping[str, str | None]) -> bytes:
    """Return the bundle of a layer, with an empty proof of inclusion; raises ValueError where a part is not there.

    It needs the package `cryptography`.
    """
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415 - an extra
    from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415

    logged = msgspec.json.decode(annotations.get(LOGGED) or "", type=_Logged)
    entry = logged.payload
    body = msgspec.json.decode(base64.b64decode(entry.body, validate=True), type=_Body)
    certificate = load_pem_x509_certificate((annotations.get(CERTIFICATE) or "").encode())
    log_entry = {
        "logIndex": str(entry.log_index),
        "logId": {"keyId": _text(bytes.fromhex(entry.log_id))},
        "kindVersion": {"kind": body.kind, "version": body.api_version},
        "integratedTime": str(entry.integrated_time),
        "inclusionPromise": {"signedEntryTimestamp": logged.signed_entry_timestamp},
        "inclusionProof": _NO_PROOF,
        "canonicalizedBody": entry.body,
    }
    material = {
        "certificate": {"rawBytes": _text(certificate.public_bytes(Encoding.DER))},
        "tlogEntries": [log_entry],
    }
    return msgspec.json.encode(
        {
            "mediaType": BUNDLE,
            "verificationMaterial": material,
            "messageSignature": {"signature": annotations.get(SIGNATURE) or ""},
        }
    )


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
