"""Signatures, attestations and bundles as cosign makes them, by keys of a test's own."""

import base64
import json
from collections.abc import Iterable
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from tests.support import images
from tests.support.images import Image, Layer, Node

SIGNATURE = "dev.cosignproject.cosign/signature"
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
DSSE = "application/vnd.dsse.envelope.v1+json"
IN_TOTO = "application/vnd.in-toto+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


class Signer:
    """One key; by default a new one on P-256, as cosign makes them."""

    def __init__(self, key: PrivateKey | None = None) -> None:
        self.key = key or ec.generate_private_key(ec.SECP256R1())

    @property
    def public(self) -> str:
        """Return the public key as PEM."""
        public = self.key.public_key()
        return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def private(self) -> str:
        """Return the private key as PEM, without a password."""
        pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.PEM, pkcs8, plain).decode()

    def sign(self, content: bytes) -> str:
        match self.key:
            case ed25519.Ed25519PrivateKey():
                signature = self.key.sign(content)
            case rsa.RSAPrivateKey():
                signature = self.key.sign(content, padding.PKCS1v15(), hashes.SHA256())
            case _:
                signature = self.key.sign(content, ec.ECDSA(hashes.SHA256()))
        return base64.b64encode(signature).decode()

    def layer(self, digest: str, said: str = "") -> Layer:
        """Return the layer of a signature: the payload that was signed, with the signature as an annotation."""
        payload = json.dumps(
            {
                "critical": {
                    "identity": {"docker-reference": said},
                    "image": {"docker-manifest-digest": digest},
                    "type": "cosign container image signature",
                },
                "optional": None,
            }
        ).encode()
        annotations = {SIGNATURE: self.sign(payload)}
        return Layer(payload, images.digest_of(payload), SIMPLE_SIGNING, (), annotations)

    def envelope(self, digest: str, predicate: str = "https://spdx.dev/Document") -> bytes:
        """Return a DSSE envelope with an in-toto statement on a digest."""
        subject = [{"name": "image", "digest": {"sha256": digest.removeprefix("sha256:")}}]
        statement = json.dumps(
            {"_type": "https://in-toto.io/Statement/v1", "subject": subject, "predicateType": predicate}
        ).encode()
        signed = f"DSSEv1 {len(IN_TOTO)} {IN_TOTO} {len(statement)} ".encode() + statement
        return json.dumps(
            {
                "payloadType": IN_TOTO,
                "payload": base64.b64encode(statement).decode(),
                "signatures": [{"keyid": "", "sig": self.sign(signed)}],
            }
        ).encode()

    def attestation(self, digest: str) -> Layer:
        """Return the layer of an attestation under cosign's tag `.att`."""
        content = self.envelope(digest)
        return Layer(content, images.digest_of(content), DSSE, (), {"predicateType": "https://spdx.dev/Document"})

    def bundle(self, subject: Node, predicate: str = "https://sigstore.dev/cosign/sign/v1") -> Image:
        """Return a bundle as cosign 3 attaches it: an OCI referrer whose layer is the bundle."""
        document = {
            "mediaType": BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": "test"}, "tlogEntries": []},
            "dsseEnvelope": json.loads(self.envelope(subject.digest, predicate)),
        }
        content = json.dumps(document).encode()
        made = Layer(content, images.digest_of(content), BUNDLE)
        annotations = {"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": predicate}
        return artifact(BUNDLE, [made], subject, annotations)


def under_tag(layers: Iterable[Layer]) -> Image:
    """Return the manifest that cosign keeps under `.sig` or `.att`: an image whose layers are the signatures."""
    chosen = tuple(layers)
    config = json.dumps(
        {
            "architecture": "",
            "created": "0001-01-01T00:00:00Z",
            "history": [{"created": "0001-01-01T00:00:00Z"} for _ in chosen],
            "os": "",
            "rootfs": {"type": "layers", "diff_ids": [each.digest for each in chosen]},
            "config": {},
        }
    ).encode()
    return _manifest({}, config, images.OCI_CONFIG, chosen)


def artifact(
    artifact_type: str, layers: Iterable[Layer], subject: Node, annotations: dict[str, str] | None = None
) -> Image:
    """Return an OCI artifact that refers to a node."""
    described = {"mediaType": subject.media_type, "digest": subject.digest, "size": len(subject.manifest)}
    fields: dict[str, Any] = {"artifactType": artifact_type, "subject": described}
    return _manifest(fields | ({"annotations": annotations} if annotations else {}), b"{}", images.OCI_EMPTY, layers)


def sig_tag(digest: str, suffix: str = ".sig") -> str:
    """Return cosign's tag for a digest."""
    return f"{digest.replace(':', '-')}{suffix}"


def _manifest(fields: dict[str, Any], config: bytes, config_type: str, layers: Iterable[Layer]) -> Image:
    chosen = tuple(layers)
    document = {
        "schemaVersion": 2,
        "mediaType": images.OCI_MANIFEST,
        "config": {"mediaType": config_type, "digest": images.digest_of(config), "size": len(config)},
        "layers": [each.descriptor(docker=False) for each in chosen],
    }
    blobs = {images.digest_of(config): config} | {each.digest: each.content for each in chosen}
    return Image(images.encode(document | fields), images.OCI_MANIFEST, blobs)
