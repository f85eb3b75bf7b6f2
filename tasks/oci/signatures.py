"""Signatures on a digest, by public keys: cosign's simple signing, and DSSE envelopes in sigstore bundles. Pure.

cosign signs a payload that names the digest; the signature is an annotation of the payload's layer. A bundle holds a
DSSE envelope around an in-toto statement whose subject is the digest. The keys are ECDSA, RSA or Ed25519 in PEM.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from tasks.oci.digest import Digest, algorithm_of, encoded_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

SIMPLE_SIGNING: Final = "application/vnd.dev.cosign.simplesigning.v1+json"
BUNDLE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIGNATURE: Final = "dev.cosignproject.cosign/signature"
_COSIGN_TYPE: Final = "cosign container image signature"
IN_TOTO: Final = "application/vnd.in-toto+json"

# Whether an index needs a signature of its own, or signatures of each of its images are enough.
IndexSignature = Literal["own", "children"]


class SignerIdentity(msgspec.Struct, frozen=True):
    """Who signed without a key of their own: the name in the certificate, and the issuer who vouched for it."""

    identity: str
    issuer: str


class SignaturePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The public keys in PEM, and the identities, at least one of which must have signed an image."""

    keys: tuple[str, ...] = ()
    identities: tuple[SignerIdentity, ...] = ()
    index: IndexSignature = "own"


class _Image(msgspec.Struct):
    digest: str = msgspec.field(name="docker-manifest-digest")


class _Critical(msgspec.Struct):
    image: _Image
    type: str


class _Payload(msgspec.Struct):
    critical: _Critical


class _Signature(msgspec.Struct):
    sig: str


class _Envelope(msgspec.Struct, rename="camel"):
    payload: str
    payload_type: str
    signatures: list[_Signature]


class _Bundle(msgspec.Struct, rename="camel"):
    dsse_envelope: _Envelope


class _Subject(msgspec.Struct):
    digest: dict[str, str]


class _Statement(msgspec.Struct):
    subject: list[_Subject]


def parse_key(pem: str) -> str:
    """Validate a public key in PEM and return it unchanged; raises ValueError for other text or an unknown kind."""
    try:
        _read_key(pem)
    except ImportError:
        raise ValueError("cannot be used without the extra `signatures` of this program") from None
    return pem


def signs(payload: bytes, signature: str, digest: Digest, keys: Sequence[str]) -> bool:
    """Tell whether one of the keys signed a cosign payload that names the digest (cosign SIGNATURE_SPEC.md)."""
    return names(payload, digest) and _is_signed(payload, signature, keys)


def names(payload: bytes, digest: Digest) -> bool:
    """Tell whether a payload is one that cosign signs for the digest (cosign SIGNATURE_SPEC.md, "Payloads")."""
    try:
        said = msgspec.json.decode(payload, type=_Payload).critical
    except (ValueError, RecursionError):
        return False
    return said.image.digest == digest and said.type == _COSIGN_TYPE


def bundle_signs(bundle: bytes, digest: Digest, keys: Sequence[str]) -> bool:
    """Tell whether one of the keys signed a bundle's statement, and the digest is one of its subjects (DSSE 1.0)."""
    try:
        envelope = msgspec.json.decode(bundle, type=_Bundle).dsse_envelope
        payload = base64.b64decode(envelope.payload, validate=True)
    except (ValueError, RecursionError):
        return False
    if not is_about(envelope.payload_type, payload, digest):
        return False
    signed = encode_dsse(envelope.payload_type, payload)
    return any(_is_signed(signed, each.sig, keys) for each in envelope.signatures)


def is_about(payload_type: str, payload: bytes, digest: Digest) -> bool:
    """Tell whether the payload of an envelope is an in-toto statement of which the digest is a subject."""
    try:
        statement = msgspec.json.decode(payload, type=_Statement)
    except (ValueError, RecursionError):
        return False
    wanted = (algorithm_of(digest), encoded_of(digest))
    return payload_type == IN_TOTO and any(wanted in each.digest.items() for each in statement.subject)


def encode_dsse(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that a DSSE envelope signs (DSSE 1.0, "Pre-Authentication Encoding")."""
    named = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(named), named, len(payload), payload)


def _is_signed(content: bytes, signature: str, keys: Sequence[str]) -> bool:
    try:
        raw = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    return any(_verifies(_read_key(key), raw, content) for key in keys)


def _read_key(pem: str) -> "PublicKeyTypes":
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - an extra
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is not a public key in PEM") from None
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
        raise ValueError("is a public key of a kind that is not supported: ECDSA, RSA and Ed25519 are")  # noqa: TRY004
    return key


def _verifies(key: Any, signature: bytes, content: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa  # noqa: PLC0415

    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, content, ec.ECDSA(hashes.SHA256()))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, content, padding.PKCS1v15(), hashes.SHA256())
        else:
            key.verify(signature, content)
    except InvalidSignature:
        return False
    return True
