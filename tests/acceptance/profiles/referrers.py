"""Images that are signed and described, and what a registry says of that."""

import json
from dataclasses import dataclass
from typing import Any

from tests.acceptance.profiles.cases import PRODUCTS
from tests.acceptance.profiles.conftest import Scene
from tests.support import images
from tests.support.images import Image, Index
from tests.support.profiles.server import ProfileRegistry
from tests.support.profiles.store import Manifest
from tests.support.signatures import Signer, artifact, sig_tag, under_tag

SBOM = "application/spdx+json"
REFUSING = {"ecr"}
TAKING = tuple(profile for profile in PRODUCTS if profile.name not in REFUSING)
FEW = tuple(profile for profile in PRODUCTS if profile.name in {"strict", "quay", "distribution-2.8", "gitlab"})
LISTS = tuple(profile for profile in PRODUCTS if profile.name in {"distribution-2.8", "gitlab"})


@dataclass(frozen=True)
class Signed:
    """An index, what refers to it and to its first image, and what refers to that."""

    index: Index
    bundle: Image
    sbom: Image
    sbom_bundle: Image
    signature: Image
    attestation: Image

    @property
    def child(self) -> Image:
        first = self.index.members[0]
        assert isinstance(first, Image)
        return first

    @property
    def oci(self) -> dict[str, Image]:
        """Return the OCI referrers by the digest of their subject."""
        return {self.index.digest: self.bundle, self.child.digest: self.sbom, self.sbom.digest: self.sbom_bundle}

    @property
    def tags(self) -> dict[str, Image]:
        """Return what is under cosign's tags."""
        return {
            sig_tag(self.index.digest): self.signature,
            sig_tag(self.child.digest, ".att"): self.attestation,
        }


def sign(index: Index, signer: Signer) -> Signed:
    child = index.members[0]
    assert isinstance(child, Image)
    text = images.layer(f"sbom of {child.digest}", 3000, media_type=SBOM)
    sbom = artifact(SBOM, [text], child)
    return Signed(
        index=index,
        bundle=signer.bundle(index),
        sbom=sbom,
        sbom_bundle=signer.bundle(sbom),
        signature=under_tag([signer.layer(index.digest)]),
        attestation=under_tag([signer.attestation(child.digest)]),
    )


def put(registry: ProfileRegistry, repository: str, node: Image, subject: str) -> None:
    """Attach a referrer as a client does: where there is no API, it keeps the fallback index too."""
    registry.put(repository, node)
    if registry.profile.referrers.api:
        return
    tag = subject.replace(":", "-")
    described = {"mediaType": node.media_type, "digest": node.digest, "size": len(node.manifest)}
    entry = described | {"artifactType": node.document["artifactType"]}
    entries = [each for each in fallback(registry, repository, subject) if each["digest"] != node.digest]
    put_index(registry, repository, tag, [*entries, entry])


def put_index(registry: ProfileRegistry, repository: str, tag: str, entries: list[dict[str, Any]]) -> None:
    content = json.dumps({"schemaVersion": 2, "mediaType": images.OCI_INDEX, "manifests": entries}).encode()
    with registry.guard:
        registry.store.put(registry.store.create(repository), Manifest(images.OCI_INDEX, content), (tag,))


def fallback(registry: ProfileRegistry, repository: str, subject: str) -> list[dict[str, Any]]:
    """Return the entries of the fallback index of a digest."""
    digest = registry.tags(repository).get(subject.replace(":", "-"))
    if digest is None:
        return []
    entries: list[dict[str, Any]] = registry.store.repositories[repository].manifests[digest].document["manifests"]
    return entries


def listed(registry: ProfileRegistry, repository: str, subject: str) -> dict[str, str]:
    """Return the referrers of a digest that a client finds, with their types: by the API, or in the fallback index."""
    if not registry.profile.referrers.api:
        return {each["digest"]: each["artifactType"] for each in fallback(registry, repository, subject)}
    return {
        digest: each.document["artifactType"]
        for digest, each in registry.store.repositories[repository].manifests.items()
        if each.document.get("subject", {}).get("digest") == subject
    }


def layers(registry: ProfileRegistry, repository: str, tag: str) -> list[str]:
    """Return the signatures under a tag of cosign: they and their payloads are there."""
    assert registry.lacks(repository, tag) == []
    document = registry.store.repositories[repository].manifests[registry.tags(repository)[tag]].document
    return [each["annotations"]["dev.cosignproject.cosign/signature"] for each in document["layers"]]


def offer(source: ProfileRegistry, repository: str, signed: Signed, tag: str = "1") -> str:
    source.put(repository, signed.index, tag)
    for subject, referrer in signed.oci.items():
        put(source, repository, referrer, subject)
    for name, node in signed.tags.items():
        source.put(repository, node, name)
    return f"{source.host}/{repository}:{tag}"


def assert_complete(scene: Scene, signed: Signed, *, but: tuple[str, ...] = ()) -> None:
    for subject, referrer in signed.oci.items():
        if subject not in but:
            found = listed(scene.registry, scene.repository, subject)
            assert found.get(referrer.digest) == referrer.document["artifactType"]
    for tag, node in signed.tags.items():
        if not any(digest.replace(":", "-") in tag for digest in but):
            assert scene.registry.tags(scene.repository)[tag] == node.digest
            assert scene.registry.lacks(scene.repository, tag) == []
