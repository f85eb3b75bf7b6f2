"""Receipts: signed by each kind of key, and read back (BEHAVIOUR 9.7)."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from sigstore_models.bundle.v1 import Bundle

from tasks.contract import ItemReport, PushReport, TagReport, Totals
from tasks.oci.descriptor import Descriptor
from tasks.oci.digest import Digest, digest_of
from tasks.oci.receipt import Receipt, at_time, read_receipt, read_statement, receipt_artifact, sign_receipt
from tasks.oci.referrers import describe
from tasks.oci.signatures import BUNDLE, bundle_signs
from tasks.oci.signing import SigningKey
from tasks.transfer.inspection.receipts import check_receipts
from tasks.transfer.ports import KeptReceipt
from tests.support.signatures import PrivateKey, Signer

KEYS: dict[str, Callable[[], PrivateKey]] = {
    "p-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}
SUBJECT = digest_of(b"an index")
REFERENCE = "b.example/app:1"


def receipt(**changes: Any) -> Receipt:
    said: dict[str, Any] = {
        "push_id": "one",
        "source": "a.example/app:1",
        "source_digest": SUBJECT,
        "destination": REFERENCE,
        "action": "copied",
        "old_digest": None,
        "new_digest": SUBJECT,
        "time": at_time(0),
    }
    return Receipt(**said | changes)


def kept(bundle: bytes, subject: Digest = SUBJECT) -> KeptReceipt:
    manifest = receipt_artifact(bundle, Descriptor("application/vnd.oci.image.index.v1+json", subject, 8), at_time(0))
    return KeptReceipt(name="1", reference=REFERENCE, subject=subject, manifest=manifest, bundle=bundle)


def report(action: Any = "copied") -> PushReport:
    tag = TagReport(reference=REFERENCE, action=action, new_digest=SUBJECT)
    items = [ItemReport(source="a.example/app:1", tags=[tag])]
    return PushReport(push_id="one", state="succeeded", items=items, totals=Totals())


@pytest.mark.parametrize("kind", KEYS)
def test_each_kind_of_key_signs_what_its_public_key_verifies(kind: str) -> None:
    key = SigningKey.parse(Signer(KEYS[kind]()).private)
    bundle = sign_receipt(receipt(), key)
    assert bundle_signs(bundle, SUBJECT, [key.public()])
    assert not bundle_signs(bundle, SUBJECT, [Signer().public])
    assert read_receipt(bundle) == receipt()
    assert key.pem not in repr(key)


def test_a_bundle_has_the_form_of_sigstore() -> None:
    key = SigningKey.parse(Signer().private)
    said = json.loads(sign_receipt(receipt(), key))
    assert said["mediaType"] == BUNDLE
    assert said["verificationMaterial"] == {"publicKey": {"hint": key.hint()}, "tlogEntries": []}
    assert said["dsseEnvelope"]["payloadType"] == "application/vnd.in-toto+json"


def test_the_models_of_sigstore_read_a_bundle() -> None:
    key = SigningKey.parse(Signer().private)
    bundle = Bundle.from_json(sign_receipt(receipt(), key))
    assert bundle.verification_material.public_key is not None
    assert bundle.verification_material.public_key.hint == key.hint()
    assert bundle.dsse_envelope is not None
    assert json.loads(bundle.dsse_envelope.payload)["predicate"]["newDigest"] == SUBJECT


def test_a_key_that_cannot_sign_is_refused() -> None:
    """With its reason: a password, another kind, no key at all."""
    locked = Signer().key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    other = x25519.X25519PrivateKey.generate()
    with pytest.raises(ValueError, match="with a password"):
        SigningKey.parse(locked.decode())
    with pytest.raises(ValueError, match="kind that is not supported"):
        SigningKey.parse(Signer(other).private)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not a private key"):
        SigningKey.parse(Signer().public)


def test_a_receipt_refers_to_its_image_as_a_bundle_of_cosign_does() -> None:
    each = kept(sign_receipt(receipt(), SigningKey(Signer().private)))
    described, subject = describe(each.manifest, "application/vnd.oci.image.manifest.v1+json", digest_of(each.manifest))
    assert (described.artifact_type, subject) == (BUNDLE, SUBJECT)
    assert described.annotations["dev.sigstore.bundle.content"] == "dsse-envelope"
    assert each.planned.digest == described.digest


def test_a_receipt_holds_for_its_push_tag_and_digest_alone() -> None:
    key = SigningKey(Signer().private)
    keys = [key.public()]
    assert check_receipts(report(), [kept(sign_receipt(receipt(), key))], keys).state == "verified"
    for changes in ({"push_id": "two"}, {"destination": "b.example/app:2"}, {"new_digest": digest_of(b"another")}):
        checked = check_receipts(report(), [kept(sign_receipt(receipt(**changes), key))], keys)
        (said,) = checked.receipts
        assert checked.state == "broken"
        assert said.error is not None
        assert said.error.code == "receipt_invalid"
    assert check_receipts(report(), [], keys).state == "broken"
    assert check_receipts(report("unchanged"), [], keys).state == "verified"


@pytest.mark.parametrize(
    "bundle", [b"", b"{}", b"[" * 100_000, b'{"dsseEnvelope": {"payload": "?", "payloadType": "x"}}']
)
def test_what_is_no_receipt_is_not_read(bundle: bytes) -> None:
    assert read_receipt(bundle) is None
    assert read_statement(bundle) is None
