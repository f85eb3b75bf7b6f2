"""The receipt of a push for one tag: an in-toto statement on what the tag holds now (BEHAVIOUR 9.7). Pure."""

import base64
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from tasks.oci.artifact import artifact_of
from tasks.oci.carried import Carried
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest, algorithm_of, encoded_of
from tasks.oci.signatures import BUNDLE, IN_TOTO
from tasks.oci.signing import SigningKey, sign_bundle, statement

PREDICATE: Final = "urn:imagepusher:receipt:v1"


class Receipt(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The predicate of a receipt: the source, the change of the tag, the producer and the time of a push.

    `source` has the requested tag, `source_digest` is the digest that the tag held. `producer` signed the request;
    None for an operator, or where nobody signs. `time` is in RFC 3339.
    """

    push_id: str
    source: str
    source_digest: str
    destination: str
    action: str
    old_digest: str | None
    new_digest: str
    kept_platforms: list[str] = []
    referrers: list[Carried] = []
    producer: str | None = None
    time: str


def at_time(seconds: float) -> str:
    """Return a time since the epoch in RFC 3339, in whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


def sign_receipt(receipt: Receipt, key: SigningKey) -> bytes:
    """Return a bundle with the signed receipt."""
    digest = Digest(receipt.new_digest)
    said = statement(receipt.destination, {algorithm_of(digest): encoded_of(digest)}, PREDICATE, receipt)
    return sign_bundle(said, key)


def receipt_artifact(bundle: bytes, subject: Descriptor, time: str) -> bytes:
    """Return the manifest that refers from a bundle to the image, with the annotations by which cosign knows it."""
    annotations = {
        "dev.sigstore.bundle.content": "dsse-envelope",
        "dev.sigstore.bundle.predicateType": PREDICATE,
        "org.opencontainers.image.created": time,
    }
    return artifact_of(bundle, BUNDLE, subject, annotations)


class _Envelope(msgspec.Struct, rename="camel"):
    payload: str
    payload_type: str


class _Bundle(msgspec.Struct, rename="camel"):
    dsse_envelope: _Envelope


class _Statement(msgspec.Struct, rename="camel"):
    predicate_type: str
    predicate: Receipt


def read_statement(bundle: bytes) -> dict[str, Any] | None:
    """Return the statement of a bundle, whoever signed it; None if it has none."""
    try:
        return msgspec.json.decode(_payload(bundle), type=dict[str, Any])
    except (ValueError, RecursionError):
        return None


def read_receipt(bundle: bytes) -> Receipt | None:
    """Return the receipt of a bundle, whoever signed it; None if it holds something else."""
    try:
        said = msgspec.json.decode(_payload(bundle), type=_Statement)
    except (ValueError, RecursionError):
        return None
    return said.predicate if said.predicate_type == PREDICATE else None


def _payload(bundle: bytes) -> bytes:
    envelope = msgspec.json.decode(bundle, type=_Bundle).dsse_envelope
    if envelope.payload_type != IN_TOTO:
        raise ValueError("another payload")
    return base64.b64decode(envelope.payload, validate=True)
