"""Reading what an index does not say, from a registry that answers by script (BEHAVIOUR 4.2 and 4.3)."""

import json
from typing import Any

import pytest

from tasks.errors import AuthenticationRefused, DestinationAmbiguous, ManifestAmbiguous, SourceChildMissing
from tasks.oci import media_types
from tasks.oci.details import Details
from tasks.oci.digest import Digest, digest_of
from tasks.oci.index import parse_index
from tasks.oci.platform import Platform
from tasks.transfer.plan.entry_details import Behind, read_behind_source, read_behind_tag
from tests.support import images
from tests.support.scripted import Answer, Exchange, ScriptedRegistry
from tests.unit.oci.listing import attestation, image, named, text
from tests.unit.registry.clients import NAME, PING, client, manifest_path

OCI = media_types.OCI_MANIFEST
ARM = Platform("linux", "arm", "v6")
CONFIG = b'{"os":"linux","architecture":"arm","variant":"v6"}'


def made(
    config: bytes, *, config_type: str = images.OCI_CONFIG, media_type: str | None = OCI, **fields: Any
) -> tuple[dict[str, Any], Exchange, Exchange]:
    """Return an image's entry without platform, and the exchanges that serve its manifest and configuration."""
    described = {"mediaType": config_type, "digest": digest_of(config), "size": len(config)}
    content = json.dumps({"schemaVersion": 2, "config": described, "layers": []} | fields).encode()
    entry = {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}
    blob = Exchange("GET", f"/v2/{NAME}/blobs/{digest_of(config)}", Answer(body=config))
    return entry, serves(content), blob


def serves(content: bytes, media_type: str = OCI) -> Exchange:
    headers = {"Content-Type": media_type, "Docker-Content-Digest": digest_of(content)}
    return Exchange("GET", manifest_path(digest_of(content)), Answer(headers=headers, body=content))


def gone(exchange: Exchange, status: int = 404) -> Exchange:
    return Exchange(exchange.method, exchange.path, Answer(status))


def at_source(entries: list[dict[str, Any]], *exchanges: Exchange) -> Behind:
    index = parse_index(text(entries), media_types.OCI_INDEX)
    with ScriptedRegistry(*((PING, *exchanges) if exchanges else ())) as registry:
        return read_behind_source(client(registry.host), index)


def at_tag(
    entries: list[dict[str, Any]], *exchanges: Exchange, known: dict[Digest, Details] | None = None
) -> dict[Digest, Details]:
    index = parse_index(text(entries), media_types.OCI_INDEX)
    with ScriptedRegistry(*((PING, *exchanges) if exchanges else ())) as registry:
        return read_behind_tag(client(registry.host, role="destination"), index, known or {})


@pytest.mark.parametrize("platform", [None, {}, {"os": "linux"}, {"os": None, "architecture": "arm"}])
def test_an_image_has_the_platform_of_its_configuration_where_its_entry_names_none(platform: Any) -> None:
    """Rule 4.2: two requests for each such entry, on both sides; none for the others."""
    entry, *exchanges = made(CONFIG)
    entries = [image("amd64", "linux/amd64"), entry | {"platform": platform}, attestation("att", "amd64")]
    assert at_source(entries, *exchanges).details == {entry["digest"]: Details(ARM)}
    assert at_tag(entries, *exchanges) == {entry["digest"]: Details(ARM)}


def test_an_index_that_says_all_is_not_read_behind() -> None:
    """Rule 4.2: images with their platforms, attestations, nested indexes, what nobody has heard of."""
    nested = image("nested", None) | {"mediaType": media_types.OCI_INDEX}
    unheard = image("unheard", None) | {"mediaType": "application/vnd.example+json"}
    entries = [image("arm", "linux/arm"), attestation("att", "arm"), nested, unheard]
    assert at_source(entries) == Behind()
    assert at_tag(entries) == {}


def test_one_digest_is_read_once() -> None:
    entry, *exchanges = made(CONFIG)
    assert len(at_source([entry, entry], *exchanges).details) == 1


def test_what_refers_to_another_is_asked_for_no_platform() -> None:
    """Rule 4.3: signatures may have the configuration of an image."""
    subject = {"mediaType": OCI, "digest": named("arm"), "size": 1}
    entry, manifest, _ = made(CONFIG, subject=subject)
    expected = {entry["digest"]: Details(subject=named("arm"))}
    assert at_source([image("arm", "linux/arm"), entry], manifest).details == expected
    assert at_tag([image("arm", "linux/arm"), entry], manifest) == expected


def test_what_is_no_image_has_no_platform() -> None:
    """Rule 4.2: a chart, an artifact, whose configuration is not read; an attestation, whose configuration says so."""
    entry, manifest, _ = made(b"{}", config_type="application/vnd.cncf.helm.config.v1+json")
    assert at_source([entry], manifest).details == {entry["digest"]: Details()}
    entry, *exchanges = made(b'{"os":"unknown","architecture":"unknown"}')
    assert at_source([entry], *exchanges).details == {entry["digest"]: Details()}


@pytest.mark.parametrize("config", [b"{}", b"[]", b"\xff", b'{"os":"linux"}'])
def test_an_image_whose_configuration_names_no_platform_is_of_an_unknown_one(config: bytes) -> None:
    """Rule 3.2: nothing is guessed."""
    entry, *exchanges = made(config)
    assert at_source([entry], *exchanges).details == {entry["digest"]: Details(platform_unknown=True)}
    assert at_tag([entry], *exchanges) == {entry["digest"]: Details(platform_unknown=True)}


def test_a_configuration_whose_size_is_not_given_is_measured_first() -> None:
    """Rule 2.4."""
    described = {"mediaType": images.OCI_CONFIG, "digest": digest_of(CONFIG)}
    content = json.dumps({"schemaVersion": 2, "config": described, "layers": None}).encode()
    path = f"/v2/{NAME}/blobs/{digest_of(CONFIG)}"
    exchanges = (
        serves(content),
        Exchange("HEAD", path, Answer(headers={"Content-Length": str(len(CONFIG))})),
        Exchange("GET", path, Answer(body=CONFIG)),
    )
    entry = {"digest": digest_of(content)}
    assert at_source([entry], *exchanges).details == {entry["digest"]: Details(ARM)}


def test_what_was_read_of_the_source_is_not_read_again_by_its_copy() -> None:
    """Rule 5.1: but for a manifest whose type its entry does not tell."""
    entry, *exchanges = made(CONFIG)
    manifests = at_source([entry], *exchanges).manifests
    assert [digest_of(content) for content in manifests.values()] == list(manifests) == [entry["digest"]]
    silent, *exchanges = made(CONFIG, media_type=None)
    behind = at_source([silent], *exchanges)
    assert (behind.manifests, list(behind.details)) == ({}, [silent["digest"]])


def test_what_the_source_told_is_not_asked_of_the_destination() -> None:
    """Rule 4.2: content of one digest is the same everywhere."""
    entry, *_ = made(CONFIG)
    known: dict[Digest, Details] = {entry["digest"]: Details(ARM)}
    assert at_tag([entry], known=known) == known


def test_a_source_that_lost_what_must_be_known_is_incomplete() -> None:
    """Rule 2.3."""
    entry, manifest, blob = made(CONFIG)
    for exchanges in ((gone(manifest),), (manifest, gone(blob))):
        with pytest.raises(SourceChildMissing, match=f"has lost {entry['digest']}, or its configuration"):
            at_source([entry], *exchanges)


def test_a_manifest_of_the_source_that_cannot_be_read_is_left_to_its_copy() -> None:
    """Rule 6.4."""
    broken = b'{"config":1}'
    entry = {"mediaType": OCI, "digest": digest_of(broken), "size": len(broken)}
    assert at_source([entry], serves(broken)) == Behind()


def test_of_what_the_destination_lost_or_nobody_can_read_nothing_is_guessed() -> None:
    """Rules 3.2 and 4.9: whether an entry may be gone is decided when it is kept."""
    lost, manifest, _ = made(b"lost")
    bare, served, blob = made(CONFIG)
    broken = b'{"config":1}'
    entry = {"mediaType": OCI, "digest": digest_of(broken), "size": len(broken)}
    found = at_tag([lost, bare, entry], gone(manifest), served, gone(blob), serves(broken))
    assert found == {entry["digest"]: Details(platform_unknown=True), bare["digest"]: Details(platform_unknown=True)}


def test_what_others_read_in_another_way_is_refused_on_both_sides() -> None:
    """Rule 2.3: the manifest of an entry, and its configuration, where they decide."""
    entry, manifest, blob = made(b'{"os":"linux","OS":"windows","architecture":"amd64"}')
    doubled = b'{"config": {}, "CONFIG": {}}'
    other = {"mediaType": OCI, "digest": digest_of(doubled), "size": len(doubled)}
    for listed, exchanges in ((entry, (manifest, blob)), (other, (serves(doubled),))):
        with pytest.raises(ManifestAmbiguous):
            at_source([listed], *exchanges)
        with pytest.raises(DestinationAmbiguous):
            at_tag([listed], *exchanges)


def test_what_may_not_be_read_is_not_taken_for_what_says_nothing() -> None:
    """Rule 3.4."""
    entry, manifest, _ = made(CONFIG)
    with pytest.raises(AuthenticationRefused):
        at_tag([entry], gone(manifest, 403))
    with pytest.raises(AuthenticationRefused):
        at_source([entry], gone(manifest, 403))
