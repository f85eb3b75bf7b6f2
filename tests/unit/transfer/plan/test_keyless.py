"""A trust root: what it is, and what is none (BEHAVIOUR 9.6)."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import SettingsInvalid
from tasks.oci.digest import digest_of
from tasks.oci.signatures import SignerIdentity
from tasks.transfer.plan.keyless import TrustRoot
from tests.support.images import image
from tests.support.keyless import CERTIFICATE, IDENTITY, ISSUER, LOGGED, Sigstore, content_of
from tests.support.signatures import SIGNATURE

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


def test_one_of_several_identities_will_do_under_the_tag(tmp_path: Path) -> None:
    services, node, file = Sigstore(), image(), tmp_path / "trusted_root.json"
    file.write_text(services.trusted_root())
    trust, layer = TrustRoot(file), services.layer(node.digest)
    assert trust.signs_payload(layer.content, layer.annotations, digest_of(node.manifest), WHO)
    assert not trust.signs_payload(layer.content, layer.annotations, digest_of(node.manifest), WHO[:1])
    assert not trust.signs_payload(layer.content + b" ", layer.annotations, digest_of(node.manifest), WHO)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["SignedEntryTimestamp"], ""),
        (["SignedEntryTimestamp"], None),
        (["Payload", "integratedTime"], 1748736001),
        (["Payload", "integratedTime"], 0),
        (["Payload", "integratedTime"], -1),
        (["Payload", "integratedTime"], 1 << 70),
        (["Payload", "logIndex"], 1),
        (["Payload", "logID"], "00"),
        (["Payload", "logID"], "no hexadecimals"),
        (["Payload", "body"], "no base64"),
        (["Payload", "body"], "e30="),
        (["Payload", "body"], "W10="),
        (["Payload"], None),
    ],
)
def test_an_entry_that_the_log_did_not_promise_is_none(tmp_path: Path, path: list[str], value: Any) -> None:
    services, node, file = Sigstore(), image(), tmp_path / "trusted_root.json"
    file.write_text(services.trusted_root())
    layer = services.layer(node.digest)
    logged = json.loads(layer.annotations[LOGGED])
    place = logged if len(path) == 1 else logged[path[0]]
    place[path[-1]] = value
    annotations = {**layer.annotations, LOGGED: json.dumps(logged)}
    assert not TrustRoot(file).signs_payload(layer.content, annotations, digest_of(node.manifest), WHO)


@pytest.mark.parametrize("key", [CERTIFICATE, LOGGED, SIGNATURE])
@pytest.mark.parametrize("text", [None, "", "{}", "[" * 100_000, "\0", "MAA="])
def test_what_is_no_part_of_a_signature_is_none(tmp_path: Path, key: str, text: str | None) -> None:
    services, node, file = Sigstore(), image(), tmp_path / "trusted_root.json"
    file.write_text(services.trusted_root())
    layer = services.layer(node.digest)
    annotations = {**layer.annotations, key: text}
    assert not TrustRoot(file).signs_payload(layer.content, annotations, digest_of(node.manifest), WHO)
