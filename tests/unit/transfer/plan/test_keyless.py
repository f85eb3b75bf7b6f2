"""A trust root: what it is, and what is none (BEHAVIOUR 9.6)."""

import json
from pathlib import Path

import pytest

from tasks.errors import SettingsInvalid
from tasks.oci.digest import digest_of
from tasks.oci.signatures import SignerIdentity
from tasks.transfer.plan.keyless import TrustRoot
from tests.support.images import image
from tests.support.keyless import IDENTITY, ISSUER, Sigstore, content_of

WHO = (SignerIdentity("other@example.com", ISSUER), SignerIdentity(IDENTITY, ISSUER))


def test_one_of_several_identities_will_do(tmp_path: Path) -> None:
    services, node, file = Sigstore(), image(), tmp_path / "trusted_root.json"
    file.write_text(services.trusted_root())
    trust, digest = TrustRoot(file), digest_of(node.manifest)
    bundle = content_of(services.bundle(node))
    assert trust.signs(bundle, digest, WHO)
    assert not trust.signs(bundle, digest, WHO[:1])
    assert not trust.signs(bundle, digest_of(b"another image"), WHO)


@pytest.mark.parametrize("entry", ["inclusionProof", "inclusionPromise", "canonicalizedBody"])
def test_a_signature_that_no_log_has_is_not_valid(tmp_path: Path, entry: str) -> None:
    services, node, file = Sigstore(), image(), tmp_path / "trusted_root.json"
    file.write_text(services.trusted_root())
    document = json.loads(content_of(services.bundle(node)))
    del document["verificationMaterial"]["tlogEntries"][0][entry]
    assert not TrustRoot(file).signs(json.dumps(document).encode(), digest_of(node.manifest), WHO)


@pytest.mark.parametrize("bundle", [b"", b"{}", b"[" * 100_000, b"\xff"])
def test_what_is_no_bundle_is_no_signature(tmp_path: Path, bundle: bytes) -> None:
    file = tmp_path / "trusted_root.json"
    file.write_text(Sigstore().trusted_root())
    assert not TrustRoot(file).signs(bundle, digest_of(b"image"), WHO)


@pytest.mark.parametrize("text", ["", "{}", "key", None])
def test_a_file_that_is_no_trust_root_is_named(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "trusted_root.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsInvalid, match=r"signatures\.trusted_root: .*trusted_root\.json"):
        TrustRoot(file).signs(b"{}", digest_of(b"image"), WHO)
