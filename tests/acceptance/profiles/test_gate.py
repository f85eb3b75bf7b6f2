"""Nothing is copied that is not signed as the request, or its target, wants it (BEHAVIOUR 9.6)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.contract import TagReport
from tasks.transfer.plan.keyless import TrustRoot
from tests.acceptance.profiles.cases import PRODUCTS, over
from tests.acceptance.profiles.conftest import Scene
from tests.acceptance.profiles.test_referrers import put
from tests.support.images import Image
from tests.support.keyless import IDENTITY, ISSUER, Sigstore
from tests.support.profiles import profiles
from tests.support.profiles.profile import Profile
from tests.support.profiles.server import ProfileRegistry
from tests.support.signatures import Signer, sig_tag, under_tag
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
    object.__setattr__(step, "trust", TrustRoot(file))
    yield services
    object.__setattr__(step, "trust", None)


@over(ONE)
@pytest.mark.parametrize("source_profile", [profiles.STRICT, profiles.DISTRIBUTION_2_8])
def test_an_identity_that_a_trusted_issuer_vouched_for_signs_without_a_key(
    scene: Scene, services: Sigstore, source_profile: Profile
) -> None:
    """Rule 9.6: neither another identity nor another issuer will do; a key beside them will."""
    node, repository = scene.index("linux/amd64", "linux/arm64"), f"{scene.name}/src"
    with ProfileRegistry(source_profile) as source:
        source.put(repository, node, "1")
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


@over(ONE)
def test_identities_need_a_trust_root(scene: Scene) -> None:
    """Rule 9.6: without one nothing is taken for signed."""
    tag = push(scene, scene.offer(scene.index("linux/amd64")), None, **by())
    assert (tag.action, scene.writes()) == ("failed", [])
    assert tag.error is not None
    assert tag.error.code == "settings_invalid"
