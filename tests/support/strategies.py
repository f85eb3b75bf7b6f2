"""Hypothesis strategies: platforms, references and indexes in all the ways in which registries serve them."""

import hashlib
import json
import re
from dataclasses import dataclass
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
    "arm": ("", "v5", "v6", "v7", "6", "7", "v8"),
    "arm64": ("", "v8", "8", "v9"),
    "amd64": ("", "v1", "v2", "v3"),
    "386": ("",),
    "s390x": ("",),
    "ppc64le": ("",),
    "riscv64": ("",),
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


def digests() -> st.SearchStrategy[Digest]:
    """Return digests, some of them often enough that two indexes share them."""
    few = st.integers(0, 30).map(lambda number: Digest(f"sha256:{hashlib.sha256(b'%d' % number).hexdigest()}"))
    long = st.binary(max_size=8).map(lambda seed: Digest(f"sha512:{hashlib.sha512(seed).hexdigest()}"))
    return few | few | few | long


@st.composite
def platform_documents(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a platform as JSON says it: aliases, arm variants, Windows versions, features."""
    os = draw(st.sampled_from(("linux", "linux", "linux", "Linux", "windows", "windows", "darwin", "macos", "plan9")))
    architecture = draw(st.sampled_from(tuple(_VARIANTS)))
    document: dict[str, Any] = {"architecture": architecture, "os": os}
    if variant := draw(st.sampled_from(_VARIANTS[architecture])):
        document["variant"] = variant
    if os == "windows" and (version := draw(st.sampled_from(_WINDOWS_VERSIONS))):
        document["os.version"] = version
    if draw(st.integers(0, 9)) == 0:
        document["os.features"] = draw(st.permutations(["win32k", "sse4"]))
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


@st.composite
def _object(draw: st.DrawFn, members: dict[str, str]) -> str:
    """Draw how an object with these members is written: their order and white space."""
    comma, colon, begin, end = draw(st.sampled_from(_STYLES))
    order = draw(st.permutations(sorted(members)))
    return f"{{{begin}{comma.join(f'{json.dumps(key)}{colon}{members[key]}' for key in order)}{end}}}"


@st.composite
def odd_fields(draw: st.DrawFn) -> dict[str, str]:
    """Draw unknown fields, as JSON text."""
    return draw(
        st.dictionaries(
            st.sampled_from(("artifactType", "x-unknown", "data", "Size", "é", 'quo"te', "nested")),
            st.sampled_from(_ODD_VALUES),
            max_size=3,
        )
    )


@st.composite
def _entry_text(draw: st.DrawFn, digest: str, platform: dict[str, Any] | None, subject: str | None) -> str:
    members = {
        **draw(odd_fields()),
        "mediaType": json.dumps(
            draw(
                st.sampled_from(
                    (
                        media_types.OCI_MANIFEST,
                        media_types.OCI_MANIFEST,
                        media_types.DOCKER_MANIFEST,
                        media_types.DOCKER_MANIFEST,
                        media_types.OCI_INDEX,
                    )
                )
            )
        ),
        "digest": json.dumps(digest),
        "size": str(draw(st.sampled_from((0, 527, 2**31, 2**53 + 1)))),
    }
    if platform is not None:
        features = {"features": '["vfp" , "neon"]'} if draw(st.booleans()) else {}
        members["platform"] = draw(_object({key: json.dumps(said) for key, said in platform.items()} | features))
    if subject is not None:
        noted = {ATTESTS: json.dumps(subject), "vnd.docker.reference.type": '"attestation-manifest"'}
        members["annotations"] = draw(_object(noted))
    elif draw(st.integers(0, 3)) == 0:
        members["annotations"] = draw(_object({"org.example.note": draw(st.sampled_from((r'"a\/b"', '"é"')))}))
    return draw(_object(members))


@st.composite
def indexes(draw: st.DrawFn) -> IndexText:
    """Draw an index: images, attestations of them and of others, entries without platform, unknown fields."""
    chosen = draw(st.lists(digests(), max_size=7, unique=True))
    entries: list[tuple[str, dict[str, Any] | None, str | None]] = []
    for digest in chosen:
        kind = draw(st.sampled_from(("image", "image", "image", "attestation", "plain", "empty")))
        if kind == "image":
            entries.append((digest, draw(platform_documents()), None))
        elif kind == "attestation":
            subject = draw(st.sampled_from(chosen) | digests())
            shown: Any = draw(st.sampled_from(({"architecture": "unknown", "os": "unknown"}, None)))
            entries.append((digest, shown, subject))
        else:
            entries.append((digest, {} if kind == "empty" else None, None))
    comma = draw(st.sampled_from((",", ", ", ",\n\t\t")))
    listed = comma.join(draw(_entry_text(*entry)) for entry in entries)
    media_type = draw(st.sampled_from((media_types.OCI_INDEX, media_types.DOCKER_LIST)))
    members = draw(odd_fields()) | {"schemaVersion": "2", "manifests": f"[{listed}]"}
    if media_type == media_types.DOCKER_LIST or draw(st.booleans()):
        members["mediaType"] = json.dumps(media_type)
    if draw(st.booleans()):
        members["annotations"] = draw(_object({"org.example.version": '"1\\/2"'}))
    return IndexText(draw(_object(members)).encode(), media_type)


def _component() -> st.SearchStrategy[str]:
    return st.from_regex(r"\A[a-z0-9]{1,8}(?:(?:\.|_|__|-{1,4})[a-z0-9]{1,8}){0,2}\Z")


def tags() -> st.SearchStrategy[str]:
    """Return valid tags, the longest included."""
    return st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")


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


@st.composite
def references(draw: st.DrawFn) -> Reference:
    """Draw a full reference: every host, tag, digest, both or neither."""
    registry = draw(registries())
    parts = draw(st.lists(_component(), min_size=2 if registry == "docker.io" else 1, max_size=4))
    return Reference(registry, "/".join(parts), draw(st.none() | tags()), draw(st.none() | digests()))


def json_values() -> st.SearchStrategy[Any]:
    """Return any value that JSON can say, lone surrogates included."""
    leaves = (
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(), max_size=12) | st.sampled_from(("", "latest", "quay.io/ns/app:1", "a/b", "A/B"))
    )  # fmt: skip
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    )
