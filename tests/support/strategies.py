"""Hypothesis strategies: platforms, references and indexes in all the ways in which registries serve them."""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from hypothesis import strategies as st

from tasks.oci import media_types
from tasks.oci.digest import Digest
from tasks.oci.index import Index, parse_index
from tasks.oci.platform import Platform
from tasks.oci.reference import Reference

ATTESTS = "vnd.docker.reference.digest"

# White space between tokens, but never inside of a string.
_TOKENS = re.compile(r'("(?:[^"\\]|\\.)*")|\s+', re.DOTALL)
_ODD_VALUES = (
    "1.10", "1e400", "-0", "0.10E+05", "123456789012345678901234567890", r'"a\/b"', r'"\u00e9 \ud83d\ude00"', '"é ☃"',
    '" spaced : , out "', '""', "null", "true", "[]", "{}", '{"a" : 1, "a" : 2}',
)  # fmt: skip
_STYLES = ((",", ":", "", ""), (", ", ": ", "", ""), (",\n\t", ": ", "\n\t", "\n"), (" ,\r\n", " : ", " ", "\t"))

_VARIANTS = {
    "arm": ("", "v5", "v6", "v7", "6", "7", "v8", "armv7"),
    "arm64": ("", "v8", "8", "v8.0", "v9", "9.0"),
    "amd64": ("", "v1", "v2", "v3"),
    "386": ("",),
    "s390x": ("",),
    "ppc64le": ("", "power8", "power9"),
    "riscv64": ("", "rva20u64", "rva22u64"),
    "aarch64": ("", "v8"),
    "x86_64": ("",),
    "x86-64": ("",),
    "i386": ("",),
    "armhf": ("",),
    "armel": ("",),
    "ARM64": ("V8", ""),
}
_WINDOWS_VERSIONS = ("", "10.0.17763", "10.0.17763.1", "10.0.17763.5329", "10.0.20348.2113", "10.0.20348")


def squeezed(text: bytes) -> str:
    """Return JSON text without the white space between its tokens, by a way of one's own."""
    return _TOKENS.sub(lambda match: match[1] or "", text.decode())


@dataclass(frozen=True)
class IndexText:
    """An index as a registry serves it."""

    content: bytes
    media_type: str

    def parse(self) -> Index:
        return parse_index(self.content, self.media_type)


# Built once: most of what drawing costs is building strategies.
_ONE_OF_TEN = st.integers(0, 9).map(lambda number: number == 0)
_ONE_OF_FOUR = st.integers(0, 3).map(lambda number: number == 0)
_FEW_DIGESTS = st.integers(0, 30).map(lambda number: Digest(f"sha256:{hashlib.sha256(b'%d' % number).hexdigest()}"))
_LONG_DIGESTS = st.binary(max_size=8).map(lambda seed: Digest(f"sha512:{hashlib.sha512(seed).hexdigest()}"))
_DIGESTS = _FEW_DIGESTS | _FEW_DIGESTS | _FEW_DIGESTS | _LONG_DIGESTS
_DIGEST_LISTS = st.lists(_DIGESTS, max_size=7, unique=True)
_SYSTEMS = st.sampled_from(("linux", "linux", "linux", "Linux", "windows", "windows", "darwin", "macos", "plan9"))
_ARCHITECTURES = st.sampled_from(tuple(_VARIANTS))
_VARIANTS_OF = {architecture: st.sampled_from(variants) for architecture, variants in _VARIANTS.items()}
_VERSIONS = st.sampled_from(_WINDOWS_VERSIONS)
_OS_FEATURES = st.permutations(["win32k", "sse4"])
_STYLE = st.sampled_from(_STYLES)
_ODD_FIELDS = st.dictionaries(
    st.sampled_from(("artifactType", "x-unknown", "data", "Dimensions", "é", 'quo"te', "nested")),
    st.sampled_from(_ODD_VALUES),
    max_size=3,
)
_ENTRY_TYPES = st.sampled_from(
    (
        media_types.OCI_MANIFEST,
        media_types.OCI_MANIFEST,
        media_types.DOCKER_MANIFEST,
        media_types.DOCKER_MANIFEST,
        media_types.OCI_INDEX,
    )
)
_SIZES = st.sampled_from((0, 527, 2**31, 2**53))
_NOTES = st.sampled_from((r'"a\/b"', '"é"'))
_KINDS = st.sampled_from(("image", "image", "image", "attestation", "plain", "empty"))
_PLACES = st.integers(0, 6)
_SHOWN = st.booleans().map(lambda said: {"architecture": "unknown", "os": "unknown"} if said else None)
_COMMAS = st.sampled_from((",", ", ", ",\n\t\t"))
_INDEX_TYPES = st.sampled_from((media_types.OCI_INDEX, media_types.DOCKER_LIST))
_BOOLEANS = st.booleans()


def digests() -> st.SearchStrategy[Digest]:
    """Return digests, some of them often enough that two indexes share them."""
    return _DIGESTS


@st.composite
def platform_documents(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a platform as JSON says it: aliases, arm variants, Windows versions, features."""
    return _platform_document(draw)


def _platform_document(draw: st.DrawFn) -> dict[str, Any]:
    os, architecture = draw(_SYSTEMS), draw(_ARCHITECTURES)
    document: dict[str, Any] = {"architecture": architecture, "os": os}
    if variant := draw(_VARIANTS_OF[architecture]):
        document["variant"] = variant
    if os == "windows" and (version := draw(_VERSIONS)):
        document["os.version"] = version
    if draw(_ONE_OF_TEN):
        document["os.features"] = draw(_OS_FEATURES)
    return document


def platforms() -> st.SearchStrategy[Platform]:
    """Return platforms in their authors' words."""
    return platform_documents().map(
        lambda document: Platform(
            document["os"],
            document["architecture"],
            document.get("variant", ""),
            document.get("os.version", ""),
            tuple(document.get("os.features", ())),
        )
    )


@cache
def _orders(keys: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    return st.permutations(keys)


def _object(draw: st.DrawFn, members: dict[str, str]) -> str:
    """Draw how an object with these members is written: their order and white space."""
    comma, colon, begin, end = draw(_STYLE)
    order = draw(_orders(tuple(sorted(members))))
    return f"{{{begin}{comma.join(f'{json.dumps(key)}{colon}{members[key]}' for key in order)}{end}}}"


def _entry_text(draw: st.DrawFn, digest: str, platform: dict[str, Any] | None, subject: str | None) -> str:
    members = {
        **draw(_ODD_FIELDS),
        "mediaType": json.dumps(draw(_ENTRY_TYPES)),
        "digest": json.dumps(digest),
        "size": str(draw(_SIZES)),
    }
    if platform is not None:
        features = {"features": '["vfp" , "neon"]'} if draw(_BOOLEANS) else {}
        members["platform"] = _object(draw, {key: json.dumps(said) for key, said in platform.items()} | features)
    if subject is not None:
        noted = {ATTESTS: json.dumps(subject), "vnd.docker.reference.type": '"attestation-manifest"'}
        members["annotations"] = _object(draw, noted)
    elif draw(_ONE_OF_FOUR):
        members["annotations"] = _object(draw, {"org.example.note": draw(_NOTES)})
    return _object(draw, members)


def _entry(draw: st.DrawFn, digest: Digest, chosen: list[Digest]) -> tuple[str, dict[str, Any] | None, str | None]:
    """Draw what an entry is: its digest, its platform, and the digest that it attests."""
    kind = draw(_KINDS)
    if kind == "image":
        return digest, _platform_document(draw), None
    if kind == "attestation":
        subject = chosen[draw(_PLACES) % len(chosen)] if draw(_BOOLEANS) else draw(_DIGESTS)
        return digest, draw(_SHOWN), subject
    return digest, {} if kind == "empty" else None, None


@st.composite
def indexes(draw: st.DrawFn) -> IndexText:
    """Draw an index: images, attestations of them and of others, entries without platform, unknown fields."""
    chosen = draw(_DIGEST_LISTS)
    entries = [_entry(draw, digest, chosen) for digest in chosen]
    comma = draw(_COMMAS)
    listed = comma.join(_entry_text(draw, *entry) for entry in entries)
    media_type = draw(_INDEX_TYPES)
    members = draw(_ODD_FIELDS) | {"schemaVersion": "2", "manifests": f"[{listed}]"}
    if media_type == media_types.DOCKER_LIST or draw(_BOOLEANS):
        members["mediaType"] = json.dumps(media_type)
    if draw(_BOOLEANS):
        members["annotations"] = _object(draw, {"org.example.version": '"1\\/2"'})
    return IndexText(_object(draw, members).encode(), media_type)


@cache
def _component() -> st.SearchStrategy[str]:
    return st.from_regex(r"\A[a-z0-9]{1,8}(?:(?:\.|_|__|-{1,4})[a-z0-9]{1,8}){0,2}\Z")


@cache
def tags() -> st.SearchStrategy[str]:
    """Return valid tags, the longest included."""
    return st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")


@cache
def registries() -> st.SearchStrategy[str]:
    """Return hosts that a reference may carry, with and without ports."""
    hosts = st.sampled_from(
        (
            "quay.io",
            "localhost",
            "127.0.0.1",
            "[::1]",
            "[2001:db8::17]",
            "registry.example.com",
            "docker.io",
            "xn--e1.eu",
            "qual_registry.example",
            "registry.cluster.",
        )
    )
    ports = st.just("") | st.integers(1, 65535).map(lambda port: f":{port}")
    return st.tuples(hosts, ports).map("".join)


@cache
def _paths(shortest: int) -> st.SearchStrategy[str]:
    return st.lists(_component(), min_size=shortest, max_size=4).map("/".join)


_TAGS_OR_NONE = st.none() | tags()
_DIGESTS_OR_NONE = st.none() | _DIGESTS


@st.composite
def references(draw: st.DrawFn) -> Reference:
    """Draw a full reference: every host, tag, digest, both or neither."""
    registry = draw(registries())
    path = draw(_paths(2 if registry == "docker.io" else 1))
    return Reference(registry, path, draw(_TAGS_OR_NONE), draw(_DIGESTS_OR_NONE))


@cache
def json_values() -> st.SearchStrategy[Any]:
    """Return any value that JSON can say, lone surrogates included."""
    leaves = (
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(), max_size=12) | st.sampled_from(("", "latest", "quay.io/ns/app:1", "a/b", "A/B"))
    )  # fmt: skip
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    )
