"""Nothing is copied that is not signed as the request, or its target, wants it (BEHAVIOUR 9.6)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from tasks.contract import TagReport
from tasks.transfer.plan.keyless import TrustRoot
from tests.acceptance.profiles.cases import PRODUCTS, over
from tests.acceptance.profiles.conftest import Scene
from tests.acceptance.profiles.referrers import put
from tests.support.images import Image, Layer
from tests.support.keyless import CERTIFICATE, CHAIN, IDENTITY, ISSUER, LOGGED, Sigstore
from tests.support.profiles import profiles
from tests.support.profiles.profile import Profile
from tests.support.profiles.server import ProfileRegistry
from tests.support.signatures import SIGNATURE, Signer, sig_tag, under_tag
from workers.client.embedded import EmbeddedClient

ONE = tuple(profile for profile in PRODUCTS if profile.name == "strict")


def push(scene: Scene, reference: str, signer: Signer | None, **options: Any) -> TagReport:
    request = scene.request(reference, "1")
    request["items"][0]["verify"] = ({} if signer is None else {"keys": [signer.public]}) | options
    (tag,) = scene.push(request).items[0].tags
    return tag


def refused(scene: Scene, reference: str, signer: Signer | None, **options: Any) -> str:
    """Push what is refused, and return the code: nothing was written, and no blob of an image was read."""
    before = len(scene.source.requests())
    tag = push(scene, reference, signer, **options)
    assert (tag.action, scene.writes()) == ("failed", [])
    assert tag.error is not None
    assert tag.error.side == "source"
    layers = [each for each in scene.source.requests()[before:] if "/blobs/" in each.path]
    assert len(layers) <= 1
    return tag.error.code


@over(ONE)
@pytest.mark.parametrize("scheme", ["cosign", "bundle"])
@pytest.mark.parametrize("source_profile", [profiles.STRICT, profiles.DISTRIBUTION_2_8, profiles.GITLAB])
def test_only_what_the_key_signed_is_pushed(scene: Scene, scheme: str, source_profile: Profile) -> None:
    node, signer = scene.index("linux/amd64", "linux/arm64"), Signer()
    repository = f"{scene.name}/src"
    with ProfileRegistry(source_profile) as source:
        source.put(repository, node, "1")
        if scheme == "cosign":
            source.put(
                repository, under_tag([Signer().layer(node.digest), signer.layer(node.digest)]), sig_tag(node.digest)
            )
        else:
            put(source, repository, signer.bundle(node), node.digest)
        reference = f"{source.host}/{repository}:1"
        assert refused(scene, reference, Signer()) == "signature_invalid"
        tag = push(scene, reference, signer)
    assert (tag.action, tag.new_digest) == ("copied", node.digest)


@over(ONE)
def test_an_image_that_nobody_signed_is_not_pushed(scene: Scene) -> None:
    """A signature of another digest, moved under the tag of this one, is none of its own."""
    signer, node = Signer(), scene.index("linux/amd64", "linux/arm64")
    reference = scene.offer(node)
    assert refused(scene, reference, signer) == "signature_missing"
    moved = under_tag([signer.layer(node.members[0].digest)])
    scene.source.put(f"{scene.name}/src", moved, sig_tag(node.digest))
    assert refused(scene, reference, signer) == "signature_invalid"


@over(ONE)
def test_the_images_of_an_index_may_be_signed_in_its_place(scene: Scene) -> None:
    signer, node = Signer(), scene.index("linux/amd64", "linux/arm64")
    reference = scene.offer(node)
    for number, member in enumerate(node.members):
        assert refused(scene, reference, signer, index="children") == "signature_missing"
        assert isinstance(member, Image)
        scene.source.put(f"{scene.name}/src", under_tag([signer.layer(member.digest)]), sig_tag(member.digest))
        assert refused(scene, reference, signer) == "signature_missing", number
    assert push(scene, reference, signer, index="children").action == "copied"


@over(ONE)
def test_a_tag_that_is_overwritten_with_an_unsigned_image_keeps_the_destination_as_it_was(scene: Scene) -> None:
    """Rule 2.1: the digest counts, not the tag."""
    signer, node = Signer(), scene.index("linux/amd64")
    reference = scene.offer(node)
    scene.source.put(f"{scene.name}/src", under_tag([signer.layer(node.digest)]), sig_tag(node.digest))
    assert push(scene, reference, signer).action == "copied"
    scene.offer(scene.index("linux/amd64", seed="unsigned"))
    tag = push(scene, reference, signer)
    assert tag.error is not None
    assert tag.error.code == "signature_missing"
    assert scene.registry.tags(scene.repository)["1"] == node.digest


def by(identity: str = IDENTITY, issuer: str = ISSUER) -> dict[str, Any]:
    return {"identities": [{"identity": identity, "issuer": issuer}]}


@pytest.fixture
def services(scene: Scene, tmp_path: Path) -> Iterator[Sigstore]:
    """All tests share one client: it gets the trust root that its settings would have given it."""
    assert isinstance(scene.client, EmbeddedClient)
    services, file, step = Sigstore(), tmp_path / "trusted_root.json", scene.client._here.push
    file.write_text(services.trusted_root())
    structs.force_setattr(step, "trust", TrustRoot(file))
    yield services
    structs.force_setattr(step, "trust", None)


@over(ONE)
@pytest.mark.parametrize("scheme", ["cosign", "bundle"])
@pytest.mark.parametrize("source_profile", [profiles.STRICT, profiles.DISTRIBUTION_2_8])
def test_an_identity_that_a_trusted_issuer_vouched_for_signs_without_a_key(
    scene: Scene, services: Sigstore, scheme: str, source_profile: Profile
) -> None:
    """Rule 9.6: neither another identity nor another issuer will do; a key beside them will."""
    node, repository = scene.index("linux/amd64", "linux/arm64"), f"{scene.name}/src"
    with ProfileRegistry(source_profile) as source:
        source.put(repository, node, "1")
        if scheme == "cosign":
            source.put(repository, under_tag([services.layer(node.digest)]), sig_tag(node.digest))
        else:
            put(source, repository, services.bundle(node), node.digest)
        reference = f"{source.host}/{repository}:1"
        assert refused(scene, reference, None, **by("other@example.com")) == "signature_invalid"
        assert refused(scene, reference, None, **by(issuer="https://other.example.com")) == "signature_invalid"
        assert refused(scene, reference, Signer()) == "signature_invalid"
        tag = push(scene, reference, Signer(), **by())
    assert (tag.action, tag.new_digest) == ("copied", node.digest)


@over(ONE)
@pytest.mark.parametrize("fault", ["other-services", "late", "other-image", "changed"])
def test_what_the_trust_root_does_not_vouch_for_is_no_signature(scene: Scene, services: Sigstore, fault: str) -> None:
    """Rule 9.6: other authorities, a certificate that had ended, another image, a statement that was changed."""
    node, other = scene.index("linux/amd64"), scene.index("linux/arm64")
    reference = scene.offer(node)
    match fault:
        case "other-services":
            bundle = Sigstore().bundle(node)
        case "late":
            bundle = services.bundle(node, late_by=3600)
        case "other-image":
            bundle = services.bundle(other)
        case _:
            bundle = services.forged(other, node)
    put(scene.source, f"{scene.name}/src", services.referring(bundle, node), node.digest)
    assert refused(scene, reference, None, **by()) == "signature_invalid"


def with_logs_of(services: Sigstore) -> Sigstore:
    """Return another authority, whose certificates and signatures the same logs keep."""
    other = Sigstore()
    other._ct_key, other._log_key = services._ct_key, services._log_key
    return other


def with_log_of(services: Sigstore, other: Sigstore) -> Sigstore:
    """Return the same authority with the transparency log of another."""
    same = Sigstore()
    same._root_key, same._root, same._ct_key, same._log_key = (
        services._root_key,
        services._root,
        services._ct_key,
        other._log_key,
    )
    return same


def by_another_key(services: Sigstore, digest: str) -> Layer:
    """Return a layer with the signature, and its entry in the log, of a key that the certificate is not about."""
    layer, signer = services.layer(digest), Signer()
    signature, pem = signer.sign(layer.content), layer.annotations[CERTIFICATE]
    logged = services.logged(layer.content, signature, pem.encode(), 1748736000)
    return replace(layer, annotations={**layer.annotations, SIGNATURE: signature, LOGGED: logged})


def mixed(services: Sigstore, digest: str, *keys: str) -> Layer:
    """Return a layer of which some annotations are those of another signature of the same image."""
    layer, other = services.layer(digest), services.layer(digest)
    return replace(layer, annotations={**layer.annotations, **{key: other.annotations[key] for key in keys}})


def without(services: Sigstore, digest: str, key: str) -> Layer:
    layer = services.layer(digest)
    return replace(layer, annotations={each: text for each, text in layer.annotations.items() if each != key})


# What stands under the tag `.sig` of an image, and is no valid signature by the identity.
FORGED: dict[str, Callable[[Sigstore, str], Layer]] = {
    "another-identity": lambda services, digest: services.layer(digest, "other@example.com"),
    "another-issuer": lambda services, digest: services.layer(digest, issuer="https://other.example.com"),
    "another-image": lambda services, _: services.layer("sha256:" + "0" * 64),
    "another-key": by_another_key,
    "another-signature": lambda services, digest: mixed(services, digest, SIGNATURE),
    "another-certificate": lambda services, digest: mixed(services, digest, CERTIFICATE),
    "another-entry": lambda services, digest: mixed(services, digest, LOGGED),
    "the-entry-of-another-signer": lambda services, digest: mixed(services, digest, LOGGED, SIGNATURE),
    "another-authority": lambda services, digest: with_logs_of(services).layer(digest),
    "another-transparency-log": lambda services, digest: with_log_of(services, Sigstore()).layer(digest),
    "certificate-ended": lambda services, digest: services.layer(digest, late_by=3600),
    "certificate-not-begun": lambda services, digest: services.layer(digest, late_by=-60),
    "not-in-certificate-log": lambda services, digest: services.layer(digest, in_ct_log=False),
    "without-signature": lambda services, digest: without(services, digest, SIGNATURE),
    "without-certificate": lambda services, digest: without(services, digest, CERTIFICATE),
    "without-entry": lambda services, digest: without(services, digest, LOGGED),
}


@over(ONE)
@pytest.mark.parametrize("forged", FORGED)
def test_what_the_trust_root_does_not_vouch_for_under_the_tag_is_no_signature(
    scene: Scene, services: Sigstore, forged: str
) -> None:
    """Rule 9.6: each part of a signature without a key has to fit the others, and the trust root."""
    node = scene.index("linux/amd64")
    reference = scene.offer(node)
    assert refused(scene, reference, None, **by()) == "signature_missing"
    held = under_tag([FORGED[forged](services, node.digest)])
    scene.source.put(f"{scene.name}/src", held, sig_tag(node.digest))
    assert refused(scene, reference, None, **by()) == "signature_invalid"


@over(ONE)
def test_the_chain_beside_a_certificate_is_not_needed(scene: Scene, services: Sigstore) -> None:
    """Rule 9.6: the authorities are those of the trust root. One valid signature among others will do."""
    node = scene.index("linux/amd64")
    reference = scene.offer(node)
    layers = [Signer().layer(node.digest), without(services, node.digest, CHAIN)]
    scene.source.put(f"{scene.name}/src", under_tag(layers), sig_tag(node.digest))
    assert push(scene, reference, None, **by()).action == "copied"


@over(ONE)
@pytest.mark.parametrize("fault", ["missing", "other-bytes"])
def test_a_signature_whose_payload_cannot_be_had_is_no_valid_one(scene: Scene, fault: str) -> None:
    """Rule 9.6: it does not keep the next one from being looked at."""
    signer, node, repository = Signer(), scene.index("linux/amd64"), f"{scene.name}/src"
    reference = scene.offer(node)
    broken, sound = signer.layer(node.digest, "broken"), signer.layer(node.digest)
    scene.source.put(repository, under_tag([broken, sound]), sig_tag(node.digest))
    if fault == "missing":
        del scene.source.store.repositories[repository].blobs[broken.digest]
    else:
        scene.source.store.blobs[broken.digest] = b"other bytes".ljust(len(broken.content))
    assert push(scene, reference, signer).action == "copied"


@over(ONE)
def test_identities_need_a_trust_root(scene: Scene) -> None:
    """Rule 9.6: without one nothing is taken for signed."""
    tag = push(scene, scene.offer(scene.index("linux/amd64")), None, **by())
    assert (tag.action, scene.writes()) == ("failed", [])
    assert tag.error is not None
    assert tag.error.code == "settings_invalid"
