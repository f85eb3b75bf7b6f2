"""What two clients may read in two ways is refused: tried against a reader that reads as Go's do."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import IndexEmpty, ManifestAmbiguous, ManifestInvalid, SchemaUnsupported
from tasks.oci.ambiguity import refuse_ambiguous_configuration, refuse_ambiguous_manifest
from tasks.oci.descriptor import REFERENCE_DIGEST, Descriptor
from tasks.oci.document import media_type_of, parse_document
from tasks.oci.index import Index
from tests.support import fixtures
from tests.support.fixtures import IMAGES, INDEXES
from tests.unit.oci.go_reader import GoRefuses, Members, Said, go_reading
from tests.unit.oci.listing import image, named, text

ENTRY = image("x", "linux/amd64", annotations={"a": "1"})


INDEX = text([ENTRY]).decode()


MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "config": {"mediaType": "c", "digest": named("config"), "size": 6},
        "layers": [{"mediaType": "l", "digest": named("layer"), "size": 5}],
        "subject": {"mediaType": "m", "digest": named("subject"), "size": 7},
    }
)


# Each puts one more member right behind the start of an object.
MORE = [
    ("an entry list in another case", INDEX, '{"schemaVersion"', '{"Manifests": [], "schemaVersion"'),
    ("a media type in another case", INDEX, '{"schemaVersion"', '{"mediatype": "x", "schemaVersion"'),
    ("a media type twice", INDEX, '{"schemaVersion"', '{"mediaType": "x", "schemaVersion"'),
    ("a list with a long s", INDEX, '{"schemaVersion"', '{"manife\\u017fts": [], "schemaVersion"'),
    ("unknown members in two cases", INDEX, '{"schemaVersion"', '{"odd": 1, "ODD": 1, "schemaVersion"'),
    ("an unknown member twice", INDEX, '{"schemaVersion"', '{"odd": 1, "odd": 1, "schemaVersion"'),
    ("another architecture", INDEX, '{"os"', '{"Architecture": "s390x", "os"'),
    ("another operating system", INDEX, '{"os"', '{"OS": "windows", "os"'),
    ("the same architecture twice", INDEX, '{"os"', '{"architecture": "amd64", "os"'),
    ("an os.version in another case", INDEX, '{"os"', '{"OS.Version": "1", "os"'),
    ("another digest", INDEX, '"size": 1', '"size": 1, "Digest": ""'),
    ("a second platform", INDEX, '"size": 1', '"size": 1, "PLATFORM": {}'),
    ("an annotation twice", INDEX, '"annotations": {', '"annotations": {"a": "2", '),
    ("other layers", MANIFEST, '{"schemaVersion"', '{"Layers": [], "schemaVersion"'),
    ("another configuration", MANIFEST, '{"schemaVersion"', '{"CONFIG": {}, "schemaVersion"'),
    ("another subject", MANIFEST, '{"schemaVersion"', '{"Subject": {}, "schemaVersion"'),
    ("another digest of a layer", MANIFEST, '{"mediaType": "l"', '{"DIGEST": "", "mediaType": "l"'),
    ("another size of the configuration", MANIFEST, '{"mediaType": "c"', '{"Size": 1, "mediaType": "c"'),
    ("a digest of the subject twice", MANIFEST, '{"mediaType": "m"', '{"digest": "", "mediaType": "m"'),
]  # fmt: skip


@pytest.mark.parametrize(("document", "at", "more"), [row[1:] for row in MORE], ids=[row[0] for row in MORE])
def test_a_member_that_stands_twice_or_in_another_case_is_refused(document: str, at: str, more: str) -> None:
    """Rule 2.3: at every level that the specifications define."""
    said = document.replace(at, more, 1)
    assert said != document
    refuse_ambiguous_manifest(document.encode())
    with pytest.raises(ManifestAmbiguous):
        refuse_ambiguous_manifest(said.encode())


@pytest.mark.parametrize("key", ["Manifests", "mediaTYPE", "SCHEMAVERSION", "Annotations", "Manife\u017ftS"])
def test_a_member_in_another_case_is_refused_where_it_stands_alone(key: str) -> None:
    """Rule 2.3: most clients would read it, and this program would not."""
    with pytest.raises(ManifestAmbiguous, match="which other clients read as"):
        refuse_ambiguous_manifest(json.dumps({key: []}).encode())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{}{}", "follows the end"),
        (b"{} x", "follows the end"),
        (b"{}\x00", "follows the end"),
        (b'{"odd": "\xff"}', "not valid UTF-8 at byte 9"),
        (b'{"annotations": {"\xc3": ""}}', "not valid UTF-8"),
        (b'{"schemaVersion": 9007199254740993}', "not every client reads as the same number"),
        (b'{"schemaVersion": 2.0}', "not every client"),
        (b'{"manifests": [{"size": 9007199254740993}]}', r"manifests\[0\] has a size"),
        (b'{"layers": [{}, {"size": 1e3}]}', r"layers\[1\] has a size"),
        (b'{"config": {"size": -9007199254740993}}', "config has a size"),
        (b'{"config": {"size": ' + b"9" * 5000 + b"}}", "config has a size"),
        (b'{"manifests": [{"platform": {"os": "a", "Os": "b"}}]}', r"manifests\[0\].platform has 'Os'"),
    ],
)
def test_what_readers_make_different_things_of_is_refused_with_its_place(content: bytes, reason: str) -> None:
    with pytest.raises(ManifestAmbiguous, match=reason) as refusal:
        refuse_ambiguous_manifest(content)
    assert len(refusal.value.message) < 400


@pytest.mark.parametrize(
    "content",
    [
        b' {"manifests": []}\r\n\t ',
        b'{"annotations": {"a": "1", "A": "2"}}',
        b'{"manifests": [{"annotations": {"digest": "", "Digest": ""}}]}',
        b'{"odd": {"a": 1, "a": 2, "A": 3, "size": 1e400}}',
        b'{"odd": 123456789012345678901234567890, "manifests": [{"odd": 1.10}]}',
        b'{"manifests": [{"size": 9007199254740992}]}',
        b'{"manifest\\u0073": [null, 1, "x", []]}',
        b'{"manifests": null, "config": null, "annotations": null}',
        b"[]",
        b"1",
    ],
)
def test_what_every_reader_reads_alike_is_not_judged(content: bytes) -> None:
    """Rule 2.4: free keys, unknown members and what stands below them, escapes, white space, wrong types."""
    refuse_ambiguous_manifest(content)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"nonsense", b'{"a": NaN}', b'{"a": "\x01"}', b'{"a":' * 100_000, b"\xef\xbb\xbf{}"]
)
def test_what_cannot_be_checked_is_not_read(content: bytes) -> None:
    """Rule 2.3: another parser may be less strict, or go deeper than this one."""
    with pytest.raises(ManifestInvalid, match="is not a JSON object") as refusal:
        refuse_ambiguous_manifest(content)
    assert not isinstance(refusal.value, ManifestAmbiguous)


def test_a_configuration_is_ambiguous_by_its_own_keys() -> None:
    """Rule 4.2: its platform decides what an image replaces."""
    refuse_ambiguous_configuration(b'{"os":"linux","architecture":"arm","config":{"Env":[],"env":[]},"container":"x"}')
    for more in (b'"OS":"windows"', b'"Architecture":"s390x"', b'"os":"linux"', b'"Variant":"v6"'):
        with pytest.raises(ManifestAmbiguous):
            refuse_ambiguous_configuration(b'{"os":"linux","architecture":"arm",' + more + b"}")


@pytest.mark.parametrize("prefix", [*INDEXES, *IMAGES])
def test_no_real_document_is_ambiguous(prefix: str) -> None:
    refuse_ambiguous_manifest(fixtures.load(prefix))


def our_reading(content: bytes) -> list[Said]:
    document = parse_document(content, media_type_of(content, None))
    parts = document.entries if isinstance(document, Index) else (document.config, *document.layers)
    return [_said(each) for each in parts if each is not None]


def _said(part: Descriptor) -> Said:
    shown = part.platform
    platform = (shown.os, shown.architecture, shown.variant, shown.os_version) if shown else ("",) * 4
    return part.digest, part.media_type, max(part.size, 0), platform, part.subject or ""


def _named_only(said: list[Said]) -> list[Said]:
    """Leave out platforms that name none: this program does not keep their words."""
    return [
        (*each[:3], each[3] if all(each[3][:2]) and each[3][:2] != ("unknown", "unknown") else ("",) * 4, each[4])
        for each in said
    ]


KEYS = (
    "mediaType", "digest", "size", "platform", "annotations", "os", "architecture", "variant", "os.version",
    "manifests", "config", "layers", "subject", "schemaVersion", REFERENCE_DIGEST, "odd",
)  # fmt: skip


VALUES: tuple[Any, ...] = (
    None, named("other"), "application/vnd.example", 7, 2**53 + 1, "s390x", "windows", [], Members(),
    Members([("os", "linux"), ("architecture", "arm")]), [Members([("digest", named("other")), ("size", 3)])],
)  # fmt: skip


def objects(value: Any) -> Iterator[Members]:
    """Yield all objects in a document."""
    if isinstance(value, Members):
        yield value
        for _, below in value:
            yield from objects(below)
    elif isinstance(value, list):
        for below in value:
            yield from objects(below)


def written(value: Any) -> str:
    if isinstance(value, Members):
        return "{" + ",".join(f"{json.dumps(key)}:{written(below)}" for key, below in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    return json.dumps(value)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Draw a real document to which members were added, renamed or given again, in whatever case."""
    content = fixtures.load(draw(st.sampled_from((*INDEXES, *IMAGES))))
    document = json.loads(content, object_pairs_hook=Members)
    for _ in range(draw(st.integers(0, 3))):
        members = draw(st.sampled_from(list(objects(document))))
        key = draw(st.sampled_from([*KEYS, *(key for key, _ in members)]))
        spelt = draw(st.sampled_from([key, key, key.upper(), key.title(), key.swapcase(), key.replace("s", "\u017f")]))
        value = draw(st.sampled_from([*VALUES, *(value for _, value in members)]))
        position = draw(st.integers(0, len(members)))
        replaced = draw(st.booleans()) and position < len(members)
        members[position : position + replaced] = [(spelt, copy.deepcopy(value))]
    tail = draw(st.sampled_from(("", "", "", " \n", "{}", "x", "\x00")))
    said = bytearray((written(document) + tail).encode())
    if draw(st.integers(0, 5)) == 0:
        said[draw(st.integers(0, len(said) - 1))] = draw(st.integers(0, 255))
    return bytes(said)


@settings(max_examples=500)
@given(mutated())
def test_what_is_read_is_what_other_clients_read(content: bytes) -> None:
    """Rule 2.3: or it is refused."""
    try:
        ours = our_reading(content)
    except (ManifestInvalid, IndexEmpty, SchemaUnsupported):
        return
    try:
        theirs = go_reading(content)
    except GoRefuses:
        return
    assert ours == _named_only(theirs)


def test_the_reader_of_this_test_does_read_in_another_way() -> None:
    """The comparison is worth nothing if it cannot fail."""
    other = named("other")
    hidden = INDEX.replace('"size": 1', f'"size": 1, "Digest": "{other}"', 1).encode()
    assert go_reading(hidden)[0][0] == other
    assert json.loads(hidden)["manifests"][0]["digest"] == named("x")
