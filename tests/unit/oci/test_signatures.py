"""Signatures by public keys: cosign's payloads and bundles, and what is none (BEHAVIOUR 9.6)."""

import json
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tasks.oci.digest import digest_of
from tasks.oci.signatures import SIGNATURE, bundle_signs, parse_key, signs
from tests.support.images import Image, image
from tests.support.signatures import PrivateKey, Signer

NODE = image()
DIGEST = digest_of(NODE.manifest)
OTHER = digest_of(b"another image")
KEYS: dict[str, Callable[[], PrivateKey]] = {
    "p-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


@pytest.fixture(params=KEYS)
def signer(request: pytest.FixtureRequest) -> Signer:
    return Signer(KEYS[request.param]())


def bundle_of(made: Image) -> bytes:
    """Return the bundle that is the layer of a referrer."""
    return made.blobs[made.document["layers"][0]["digest"]]


def test_a_signature_of_cosign_is_by_its_key_alone(signer: Signer) -> None:
    layer = signer.layer(DIGEST)
    signature = layer.annotations[SIGNATURE]
    assert signs(layer.content, signature, DIGEST, [signer.public])
    assert signs(layer.content, signature, DIGEST, [Signer().public, signer.public])
    assert not signs(layer.content, signature, DIGEST, [Signer().public])
    assert not signs(layer.content, signature, OTHER, [signer.public])
    assert not signs(layer.content.replace(b'"optional"', b'"optionaL"'), signature, DIGEST, [signer.public])
    assert not signs(layer.content, Signer().layer(DIGEST).annotations[SIGNATURE], DIGEST, [signer.public])


@pytest.mark.parametrize("signature", ["", "!", "AAAA", "\N{SNOWMAN}"])
def test_what_is_no_signature_is_not_valid(signer: Signer, signature: str) -> None:
    assert not signs(signer.layer(DIGEST).content, signature, DIGEST, [signer.public])


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b'{"critical": {"image": {"docker-manifest-digest": 1}}}'])
def test_a_payload_that_names_no_digest_signs_nothing(payload: bytes) -> None:
    signer = Signer()
    assert not signs(payload, signer.sign(payload), DIGEST, [signer.public])


def test_a_payload_of_another_type_is_no_signature_of_an_image() -> None:
    signer = Signer()
    payload = signer.layer(DIGEST).content.replace(b"cosign container image signature", b"something else")
    assert not signs(payload, signer.sign(payload), DIGEST, [signer.public])


def test_a_bundle_is_by_its_key_and_for_its_subject_alone(signer: Signer) -> None:
    bundle = bundle_of(signer.bundle(NODE))
    assert bundle_signs(bundle, DIGEST, [signer.public])
    assert not bundle_signs(bundle, DIGEST, [Signer().public])
    assert not bundle_signs(bundle, OTHER, [signer.public])


def test_a_bundle_whose_statement_was_exchanged_is_not_valid(signer: Signer) -> None:
    document = json.loads(bundle_of(signer.bundle(image("linux/arm64"))))
    document["dsseEnvelope"]["payload"] = json.loads(signer.envelope(DIGEST))["payload"]
    assert not bundle_signs(json.dumps(document).encode(), DIGEST, [signer.public])


def test_the_type_of_the_payload_is_signed_too(signer: Signer) -> None:
    document = json.loads(bundle_of(signer.bundle(NODE)))
    document["dsseEnvelope"]["payloadType"] = "text/plain"
    assert not bundle_signs(json.dumps(document).encode(), DIGEST, [signer.public])


@pytest.mark.parametrize("bundle", [b"", b"[]", b"{}", b'{"dsseEnvelope": {"payload": "!", "payloadType": "a"}}'])
def test_what_is_no_bundle_signs_nothing(bundle: bytes) -> None:
    assert not bundle_signs(bundle, DIGEST, [Signer().public])


def test_keys_are_read_before_they_are_needed(signer: Signer) -> None:
    assert parse_key(signer.public) == signer.public
    wrong = x25519.X25519PrivateKey.generate().public_key()
    for pem in ("", "key", wrong.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()):
        with pytest.raises(ValueError, match="public key"):
            parse_key(pem)
