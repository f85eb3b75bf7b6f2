"""Lists of referrers, and of signatures under cosign's tags (BEHAVIOUR 9.3)."""

import json
from typing import Any

import pytest

from tasks.errors import ManifestAmbiguous, ManifestInvalid
from tasks.oci.cosign_tags import Signatures, cosign_tags, describe_cosign, lacking, unite
from tasks.oci.digest import Digest, digest_of
from tasks.oci.referrers import Referrer, describe, fallback_tag, parse_list, with_entries
from tests.support.images import OCI_INDEX, OCI_MANIFEST, Image, artifact, image
from tests.support.signatures import SIMPLE_SIGNING, Signer, under_tag

SUBJECT = digest_of(b"subject")
LONG = digest_of(b"subject", "sha512")


def entry(word: str, **more: Any) -> Referrer:
    return Referrer(digest=digest_of(word.encode()), media_type=OCI_MANIFEST, size=1, artifact_type="a/b", **more)


def signatures(made: Image) -> Signatures:
    config = made.blobs[made.document["config"]["digest"]]
    return Signatures(made.manifest, config)


def keys(content: bytes) -> list[str]:
    return [each["digest"] for each in json.loads(content)["layers"]]


@pytest.mark.parametrize(
    ("digest", "tag"),
    [(SUBJECT, f"sha256-{SUBJECT[7:]}"), (LONG, f"sha512-{LONG[7:71]}")],
)
def test_the_fallback_tag_is_cut_as_the_specification_says(digest: Digest, tag: str) -> None:
    assert fallback_tag(digest) == tag


def test_cosign_has_three_tags() -> None:
    assert [tag.rpartition(".")[2] for tag in cosign_tags(SUBJECT)] == ["sig", "att", "sbom"]


def test_an_entry_says_what_the_manifest_says() -> None:
    node = artifact(b"note", "application/vnd.example.note", image())
    described, subject = describe(node.manifest, node.media_type, digest_of(node.manifest))
    assert (described.artifact_type, subject) == ("application/vnd.example.note", image().digest)
    assert parse_list(with_entries([], [described])) == [described]


def test_the_type_of_an_artifact_without_one_is_that_of_its_configuration() -> None:
    node = image()
    assert describe(node.manifest, node.media_type, digest_of(node.manifest))[0].artifact_type.endswith(
        "config.v1+json"
    )


def test_what_cosign_keeps_is_called_by_its_layers() -> None:
    made = under_tag([Signer().layer(SUBJECT)])
    assert describe_cosign(made.manifest, made.media_type, digest_of(made.manifest)).artifact_type == SIMPLE_SIGNING
    with pytest.raises(ManifestInvalid):
        describe_cosign(b'{"manifests": []}', OCI_INDEX, SUBJECT)


def test_a_list_keeps_the_text_and_the_order_of_what_is_there() -> None:
    held = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [{"mediaType": OCI_MANIFEST, "digest": digest_of(b"b"), "size": 1, "x": [1]}],
            "annotations": {"who": "b"},
        }
    ).encode()
    united = json.loads(with_entries([held], [entry("a"), entry("b")]))
    assert [each["digest"] for each in united["manifests"]] == [digest_of(b"b"), digest_of(b"a")]
    assert united["manifests"][0]["x"] == [1]
    assert united["annotations"] == {"who": "b"}
    assert with_entries([held], [entry("b")]) == held


def test_lists_are_united_and_say_each_digest_once() -> None:
    one, two = with_entries([], [entry("a"), entry("b")]), with_entries([], [entry("b"), entry("c")])
    found = parse_list(with_entries([one, two], [entry("a"), entry("d")]))
    assert [each.digest for each in found] == [digest_of(word) for word in (b"a", b"b", b"c", b"d")]


@pytest.mark.parametrize("broken", [b"", b"[]", b'{"manifests": [{}]}', b'{"manifests": [{"digest": "x"}]}'])
def test_what_is_no_list_is_an_error(broken: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        with_entries([broken], [entry("a")])


def test_signatures_of_several_signers_are_united_in_order() -> None:
    layers = [Signer().layer(SUBJECT, word) for word in "abc"]
    theirs, ours = under_tag(layers[:2]), under_tag([layers[2], layers[0]])
    united = unite([signatures(theirs)], signatures(ours))
    assert keys(united.content) == [each.digest for each in layers]
    config = json.loads(united.config)
    assert config["rootfs"]["diff_ids"] == [each.digest for each in layers]
    assert len(config["history"]) == 3
    described = json.loads(united.content)["config"]
    assert (described["digest"], described["size"]) == (digest_of(united.config), len(united.config))
    assert unite([united], signatures(ours)) == united
    assert unite([signatures(theirs)], united) == united


def test_one_payload_that_two_signed_is_there_twice() -> None:
    """The payload, and so the digest of the layer, is the same; the annotation is not."""
    one, two = Signer().layer(SUBJECT), Signer().layer(SUBJECT)
    assert one.digest == two.digest
    united = unite([signatures(under_tag([one]))], signatures(under_tag([two])))
    assert len(keys(united.content)) == 2
    assert lacking(under_tag([one]).manifest, under_tag([two]).manifest)
    assert not lacking(united.content, under_tag([two]).manifest)


def test_signatures_without_a_configuration_are_united_too() -> None:
    one, two = under_tag([Signer().layer(SUBJECT)]), under_tag([Signer().layer(SUBJECT)])
    united = unite([Signatures(one.manifest)], Signatures(two.manifest))
    assert len(keys(united.content)) == 2
    assert json.loads(united.content)["config"] == one.document["config"]


@pytest.mark.parametrize("broken", [b"", b"[]", b"{}", b'{"layers": 1}', b'{"layers": [1]}', b'{"layers": [{}]}'])
def test_what_has_no_layers_is_an_error(broken: bytes) -> None:
    made = under_tag([Signer().layer(SUBJECT)])
    with pytest.raises(ManifestInvalid):
        lacking(broken, made.manifest)


def test_lists_that_other_clients_read_otherwise_are_no_lists() -> None:
    """Rule 2.3: a second list beside the one that is read would stay what others read."""
    held = with_entries([], [entry("a")])
    other = b'{"Manifests": [], ' + held[1:]
    with pytest.raises(ManifestAmbiguous):
        with_entries([other], [entry("b")])
    with pytest.raises(ValueError, match="other clients"):
        parse_list(other)


def test_signatures_that_other_clients_read_otherwise_are_none() -> None:
    """Rule 2.3: as the manifest under a tag of cosign, and as a referrer."""
    made = under_tag([Signer().layer(SUBJECT)])
    other = b'{"Layers": [], "Subject": {}, ' + made.manifest[1:]
    for read in (
        lambda: describe_cosign(other, made.media_type, digest_of(other)),
        lambda: describe(other, made.media_type, digest_of(other)),
        lambda: lacking(other, made.manifest),
        lambda: unite([Signatures(other)], signatures(made)),
    ):
        with pytest.raises(ManifestAmbiguous):
            read()
