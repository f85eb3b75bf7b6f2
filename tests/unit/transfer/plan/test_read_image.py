"""Reading the source and what a tag holds, from a registry that answers by script (BEHAVIOUR sections 2 and 3)."""

import json

import pytest

from tasks import contract
from tasks.errors import (
    AuthenticationRefused,
    ContentMismatch,
    DestinationAmbiguous,
    DestinationError,
    IndexEmpty,
    ManifestAmbiguous,
    ManifestInvalid,
    PlatformMissing,
    RateLimited,
    RegistryUnavailable,
    ResponseInvalid,
    SchemaUnsupported,
    SingleArchRefused,
    SourceChildMissing,
    SourceMissing,
)
from tasks.oci import media_types
from tasks.oci.digest import digest_of
from tasks.oci.merge import DEFAULT_RULES
from tasks.oci.platform import Platform
from tasks.oci.reference import Reference
from tasks.transfer.plan.decide import Current, MergePolicy, decide
from tasks.transfer.plan.image import SourceImage
from tasks.transfer.plan.read_image import read_current, read_source
from tests.support import fixtures, images
from tests.support.scripted import Answer, Exchange, ScriptedRegistry
from tests.unit.oci.listing import image, index, named, text
from tests.unit.registry.clients import NAME, PING, client, manifest_path
from tests.unit.transfer.plan.sources import of_index, single

SOURCE = of_index(index(image("amd64", "linux/amd64")))


def serves(content: bytes, media_type: str = media_types.OCI_INDEX, reference: str = "1") -> Exchange:
    headers = {"Content-Type": media_type, "Docker-Content-Digest": digest_of(content)}
    return Exchange("GET", manifest_path(reference), Answer(headers=headers, body=content))


def describes(content: bytes, media_type: str = media_types.OCI_INDEX) -> Exchange:
    headers = {
        "Content-Type": media_type,
        "Docker-Content-Digest": digest_of(content),
        "Content-Length": str(len(content)),
    }
    return Exchange("HEAD", manifest_path("1"), Answer(headers=headers))


def refuses(status: int, method: str = "GET", reference: str = "1", times: int = 1) -> Exchange:
    return Exchange(method, manifest_path(reference), Answer(status), times=times)


def source(
    *exchanges: Exchange,
    kind: contract.RequestedKind = "auto",
    single_arch: contract.SingleArch = "merge",
    eligible: tuple[Platform, ...] = (),
    reference: str = "1",
) -> SourceImage:
    with ScriptedRegistry(PING, *exchanges) as registry:
        return read_source(
            client(registry.host),
            Reference.parse(f"{registry.host}/{NAME}{'@' if ':' in reference else ':'}{reference}"),
            kind=kind,
            single_arch=single_arch,
            eligible=eligible,
            rules=DEFAULT_RULES,
        )


def current(*exchanges: Exchange, image: SourceImage = SOURCE, policy: MergePolicy | None = None) -> Current | None:
    with ScriptedRegistry(PING, *exchanges) as registry:
        return read_current(client(registry.host, role="destination"), "1", image, policy or MergePolicy())


def single_arch(config: bytes, media_type: str = images.OCI_CONFIG) -> tuple[bytes, tuple[Exchange, Exchange]]:
    """Return a manifest with that configuration, and the exchanges that serve both."""
    described = {"mediaType": media_type, "digest": digest_of(config), "size": len(config)}
    manifest = json.dumps({"schemaVersion": 2, "config": described, "layers": []}).encode()
    blob = Exchange("GET", f"/v2/{NAME}/blobs/{digest_of(config)}", Answer(body=config))
    return manifest, (serves(manifest, media_types.OCI_MANIFEST), blob)


def test_an_index_is_resolved_to_its_digest_and_kept_to_the_byte() -> None:
    """Rules 2.1 and 2.4."""
    content = fixtures.load("22-")
    read = source(serves(content, media_types.DOCKER_LIST))
    assert (read.kind, read.media_type, read.content) == ("multi-arch", media_types.DOCKER_LIST, content)
    assert (read.digest, read.original_digest, read.reference.digest) == (digest_of(content),) * 3
    assert read.reference.tag is None


def test_a_digest_in_the_reference_is_what_is_asked_for() -> None:
    """Rules 1.3 and 2.1."""
    content = fixtures.load("19-")
    digest = digest_of(content)
    assert source(serves(content, media_types.DOCKER_LIST, digest), reference=digest).digest == digest


def test_other_bytes_than_those_of_the_digest_are_refused() -> None:
    """Rule 2.4."""
    digest = digest_of(fixtures.load("19-"))
    with pytest.raises(ContentMismatch):
        source(serves(fixtures.load("22-"), reference=digest), reference=digest)


def test_a_missing_source_is_a_named_error_at_once() -> None:
    """Rule 2.3: one request, no retries."""
    with pytest.raises(SourceMissing, match=rf"{NAME}:1 does not exist"):
        source(refuses(404))


def test_a_source_that_may_not_be_read_is_not_taken_for_missing() -> None:
    """Rules 2.3 and 3.4."""
    with pytest.raises(AuthenticationRefused):
        source(refuses(403))


def test_schema_1_an_empty_index_and_nonsense_are_named_errors() -> None:
    """Rule 2.3."""
    with pytest.raises(SchemaUnsupported):
        source(serves(fixtures.load("28-"), media_types.DOCKER_SCHEMA1_SIGNED))
    with pytest.raises(IndexEmpty):
        source(serves(text([])))
    with pytest.raises(ManifestInvalid):
        source(serves(b"<html>"))


@pytest.mark.parametrize("said", [None, "", "x/y", 7, True, [], {}])
def test_whatever_a_manifest_says_of_its_type_it_is_read_or_a_named_error(said: object) -> None:
    """Rule 2.4: null and absent are as good as each other; nothing of a source breaks the planning of a push."""
    entries = [image("amd64", "linux/amd64")]
    content = json.dumps({"schemaVersion": 2, "mediaType": said, "manifests": entries}).encode()
    if said is None or isinstance(said, str):
        assert source(serves(content)).digest == digest_of(content)
        return
    with pytest.raises(ManifestInvalid):
        source(serves(content))


def test_a_source_image_is_read_whatever_it_is() -> None:
    """Rule 2.2: its configuration is not asked for."""
    content = fixtures.load("30-")
    read = source(serves(content, media_types.DOCKER_MANIFEST), kind="source", single_arch="refuse")
    assert (read.kind, read.platform, read.content) == ("source", None, content)
    listed = source(serves(fixtures.load("19-"), media_types.DOCKER_LIST), kind="source")
    assert (listed.kind, listed.content) == ("source", fixtures.load("19-"))


def test_a_single_arch_image_is_refused_copied_or_asked_for_its_platform() -> None:
    """Rule 2.2."""
    manifest, exchanges = single_arch(b'{"os":"linux","architecture":"arm","variant":"v6"}')
    with pytest.raises(SingleArchRefused):
        source(serves(manifest, media_types.OCI_MANIFEST), single_arch="refuse")
    copied = source(serves(manifest, media_types.OCI_MANIFEST), single_arch="copy")
    assert (copied.kind, copied.platform) == ("single-arch", None)
    merged = source(*exchanges)
    assert (merged.kind, merged.platform) == ("single-arch", Platform("linux", "arm", "v6"))


def test_a_single_arch_image_is_asked_for_its_platform_where_only_some_are_eligible() -> None:
    """Rule 4.7."""
    eligible = (Platform("linux", "arm64"),)
    manifest, exchanges = single_arch(b'{"os":"linux","architecture":"arm64"}')
    assert source(*exchanges, single_arch="copy", eligible=eligible).digest == digest_of(manifest)
    _, exchanges = single_arch(b'{"os":"linux","architecture":"amd64"}')
    with pytest.raises(PlatformMissing):
        source(*exchanges, single_arch="copy", eligible=eligible)


@pytest.mark.parametrize("config", [b"[]", b"{}", b"\xff", b'{"os":1}', b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}"])
def test_a_configuration_that_names_no_platform_is_no_fault(config: bytes) -> None:
    """Rule 2.2: what becomes of it depends on what the tag holds (3.2)."""
    _, exchanges = single_arch(config)
    assert source(*exchanges).platform is None


def test_a_configuration_in_which_others_read_another_platform_is_refused() -> None:
    """Rule 4.2."""
    _, exchanges = single_arch(b'{"os":"linux","architecture":"amd64","Architecture":"s390x"}')
    with pytest.raises(ManifestAmbiguous):
        source(*exchanges)


def test_the_configuration_of_an_artifact_is_not_taken_for_one_of_an_image() -> None:
    """Rule 2.2."""
    for prefix in ("09-", "35-", "38-"):
        assert source(serves(fixtures.load(prefix), media_types.OCI_MANIFEST)).platform is None


def test_a_lost_configuration_is_a_lost_child() -> None:
    """Rule 2.3."""
    manifest, _ = single_arch(b"{}")
    gone = Exchange("GET", f"/v2/{NAME}/blobs/{digest_of(b'{}')}", Answer(404))
    with pytest.raises(SourceChildMissing, match="has lost its configuration"):
        source(serves(manifest, media_types.OCI_MANIFEST), gone)


def test_a_configuration_of_many_megabytes_is_not_read() -> None:
    """Rule 8.4."""
    config = {"mediaType": images.OCI_CONFIG, "digest": named("x"), "size": 1 << 40}
    manifest = json.dumps({"schemaVersion": 2, "config": config, "layers": []}).encode()
    assert source(serves(manifest, media_types.OCI_MANIFEST)).platform is None


def test_only_404_means_that_a_tag_is_absent() -> None:
    """Rule 3.4."""
    assert current(refuses(404, "HEAD")) is None
    for status, error in ((401, AuthenticationRefused), (403, AuthenticationRefused)):
        with pytest.raises(error):
            current(refuses(status, "HEAD"))


@pytest.mark.parametrize(
    ("status", "error"), [(500, RegistryUnavailable), (503, RegistryUnavailable), (429, RateLimited)]
)
def test_5xx_and_429_of_the_destination_are_retried_and_then_an_error(status: int, error: type[Exception]) -> None:
    """Rule 3.4."""
    content = text([image("s390x", "linux/s390x")])
    held = current(refuses(status, "HEAD", times=2), describes(content), refuses(status, times=2), serves(content))
    assert held == Current(digest_of(content), media_types.OCI_INDEX, content)
    with pytest.raises(error):
        current(refuses(status, "HEAD", times=3))
    with pytest.raises(error):
        current(describes(content), refuses(status, times=3))


def test_what_a_tag_holds_is_read_only_where_an_index_would_be_merged_with() -> None:
    """Rule 3.2: else one HEAD is all."""
    listed, manifest = text([image("s390x", "linux/s390x")]), fixtures.load("30-")
    for content, media_type in ((listed, media_types.OCI_INDEX), (manifest, media_types.DOCKER_MANIFEST)):
        held = Current(digest_of(content), media_type)
        assert current(describes(content, media_type), policy=MergePolicy(merge=False)) == held
        copied = MergePolicy(single_arch="copy")
        assert current(describes(content, media_type), image=single("linux/arm"), policy=copied) == held
    assert current(describes(SOURCE.content)) == Current(SOURCE.digest, media_types.OCI_INDEX)


def test_a_single_manifest_is_looked_at_before_it_is_overwritten() -> None:
    """Rule 3.2: once, and its configuration, for its platform."""
    oci = media_types.OCI_MANIFEST
    manifest, exchanges = single_arch(b'{"os":"linux","architecture":"arm"}')
    held = current(describes(manifest, oci), *exchanges)
    assert held == Current(digest_of(manifest), oci, manifest, Platform("linux", "arm"))


def test_a_single_manifest_of_the_source_is_known_without_its_configuration() -> None:
    """Rule 4.2: a platform that is named on either side is not read once more."""
    oci = media_types.OCI_MANIFEST
    manifest, (served, _) = single_arch(b'{"os":"linux","architecture":"arm"}')
    source = of_index(index(image("amd64", "linux/amd64"), image("arm", "linux/arm", digest=digest_of(manifest))))
    held = current(describes(manifest, oci), served, image=source)
    assert held == Current(digest_of(manifest), oci, manifest, Platform("linux", "arm"))
    assert decide(source, held, MergePolicy()).kept == ()


@pytest.mark.parametrize("config", [b"[]", b"{}", b'{"os":"linux"}', None])
def test_a_single_manifest_may_be_for_nobody_knows_which_platform(config: bytes | None) -> None:
    """Rule 3.2: nothing is guessed, where its configuration is gone, too."""
    oci = media_types.OCI_MANIFEST
    manifest, (served, blob) = single_arch(config or b"{}")
    gone = Exchange("GET", f"/v2/{NAME}/blobs/{digest_of(b'{}')}", Answer(404))
    held = current(describes(manifest, oci), served, gone if config is None else blob)
    assert held == Current(digest_of(manifest), oci, manifest)


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b'{"manifests": [], "Manifests": []}', media_types.OCI_INDEX),
        (b'{"config": {}, "Config": {}, "layers": []}', media_types.OCI_MANIFEST),
    ],
)
def test_what_others_read_in_another_way_is_neither_merged_with_nor_overwritten(
    content: bytes, media_type: str
) -> None:
    """Rule 2.3: by an error of the destination, with its code."""
    with pytest.raises(DestinationAmbiguous, match="Set `merge` of the item to false") as refusal:
        current(describes(content, media_type), serves(content, media_type))
    assert refusal.value.code == "manifest_ambiguous"


@pytest.mark.parametrize("said", [media_types.OCI_MANIFEST, media_types.DOCKER_MANIFEST, media_types.DOCKER_SCHEMA1])
def test_an_index_that_its_registry_calls_a_manifest_is_an_index(said: str) -> None:
    """Rules 3.2 and 3.3: taken at its registry's word, its other platforms would be overwritten."""
    content = json.dumps({"schemaVersion": 2, "manifests": [image("s390x", "linux/s390x")]}).encode()
    for source_image in (SOURCE, single("linux/amd64")):
        held = current(describes(content, said), serves(content, said), image=source_image)
        assert held == Current(digest_of(content), media_types.OCI_INDEX, content)


@pytest.mark.parametrize("said", [media_types.OCI_MANIFEST, media_types.DOCKER_MANIFEST, media_types.OCI_INDEX])
def test_a_registry_that_contradicts_what_a_tag_says_of_itself_is_refused(said: str) -> None:
    """Rules 3.2 and 3.3: others would read something else there."""
    entries = [image("s390x", "linux/s390x")]
    content = json.dumps({"schemaVersion": 2, "mediaType": media_types.DOCKER_LIST, "manifests": entries}).encode()
    with pytest.raises(ResponseInvalid, match="though the manifest says that it is"):
        current(describes(content, said), serves(content, said))


def test_what_nobody_can_read_is_not_overwritten_as_a_manifest() -> None:
    """Rule 3.2: its registry's word alone does not make it one."""
    both = json.dumps({"manifests": [], "config": {}}).encode()
    with pytest.raises(DestinationError, match="Set `merge` of the item to false"):
        current(describes(both, media_types.OCI_MANIFEST), serves(both, media_types.OCI_MANIFEST))


def test_a_tag_that_vanishes_between_two_looks_is_absent() -> None:
    """Rule 3.5: what counts is what is there then."""
    assert current(describes(text([image("x", "linux/386")])), refuses(404)) is None


def test_a_tag_that_moves_between_two_looks_is_what_it_is_then() -> None:
    """Rule 3.5."""
    other = fixtures.load("35-")
    assert current(describes(text([image("x", "linux/386")])), serves(other, media_types.OCI_MANIFEST)) == Current(
        digest_of(other), media_types.OCI_MANIFEST, other
    )


def test_an_index_at_the_destination_that_is_no_json_is_an_error_of_the_destination() -> None:
    """Rule 3.2: to rebuild the source would not help."""
    with pytest.raises(DestinationError, match="Set `merge` of the item to false"):
        current(describes(b"<html>"), serves(b"<html>"))
