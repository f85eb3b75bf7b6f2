"""Sign in-toto statements with a private key: a DSSE envelope in a sigstore bundle. Pure.

The bundle is one that cosign and sigstore's libraries verify with the public key; no transparency log knows it.
"""

import base64
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec

from tasks.discreet import Discreet
from tasks.oci.signatures import BUNDLE, IN_TOTO, encode_dsse

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    PrivateKey = EllipticCurvePrivateKey | RSAPrivateKey | Ed25519PrivateKey

_STATEMENT: Final = "https://in-toto.io/Statement/v1"


class SigningKey(Discreet, frozen=True):
    """A private key in PEM without a password: ECDSA, RSA or Ed25519."""

    _hidden: ClassVar = frozenset({"pem"})

    pem: str

    @classmethod
    def parse(cls, pem: str) -> "SigningKey":
        """Return a key; raises ValueError for other text, a key with a password or an unknown kind."""
        try:
            _read(pem)
        except ImportError:
            raise ValueError("cannot be used without the extra `signatures` of this program") from None
        return cls(pem)

    def public(self) -> str:
        """Return the public key in PEM."""
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - an extra

        public = _read(self.pem).public_key()
        kind = serialization.PublicFormat.SubjectPublicKeyInfo
        return public.public_bytes(serialization.Encoding.PEM, kind).decode()

    def hint(self) -> str:
        """Return the name of the key in bundles: the hash of the public key, as cosign has it."""
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - an extra

        public = _read(self.pem).public_key()
        kind = serialization.PublicFormat.SubjectPublicKeyInfo
        return base64.b64encode(sha256(public.public_bytes(serialization.Encoding.DER, kind)).digest()).decode()

    def sign(self, content: bytes) -> bytes:
        """Return the signature of some bytes."""
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - an extra
        from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa  # noqa: PLC0415

        key = _read(self.pem)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key.sign(content, ec.ECDSA(hashes.SHA256()))
        if isinstance(key, rsa.RSAPrivateKey):
            return key.sign(content, padding.PKCS1v15(), hashes.SHA256())
        return key.sign(content)


def statement(name: str, digest: Mapping[str, str], predicate_type: str, predicate: Any) -> bytes:
    """Return an in-toto statement on one subject; `digest` maps algorithms to hexadecimals (in-toto 1.0)."""
    return msgspec.json.encode(
        {
            "_type": _STATEMENT,
            "subject": [{"name": name, "digest": digest}],
            "predicateType": predicate_type,
            "predicate": predicate,
        }
    )


def sign_bundle(payload: bytes, key: SigningKey) -> bytes:
    """Return a bundle with the signed statement (sigstore bundle 0.3; DSSE 1.0)."""
    signature = base64.b64encode(key.sign(encode_dsse(IN_TOTO, payload))).decode()
    return msgspec.json.encode(
        {
            "mediaType": BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": key.hint()}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": IN_TOTO,
                "signatures": [{"sig": signature}],
            },
        }
    )


def _read(pem: str) -> "PrivateKey":
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - an extra
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    try:
        key = load_pem_private_key(pem.encode(), None)
    except TypeError:
        raise ValueError("is a private key with a password, and one without is needed") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is not a private key in PEM") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        raise ValueError("is a private key of a kind that is not supported: ECDSA, RSA and Ed25519 are")  # noqa: TRY004
    return key
