"""References to images (distribution-spec 1.1, "Pulling manifests": the grammar of <name> and <reference>)."""

import ipaddress
import re
from typing import Final, NamedTuple, Self

import msgspec

from tasks.oci.digest import Digest, parse_digest

_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY: Final = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
# Resolvable names, not only those of RFC 1123: compose names hosts with `_`, clusters end them in a dot.
_DOMAIN_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
_REGISTRY: Final = re.compile(
    rf"(?P<host>{_DOMAIN_LABEL}(?:\.{_DOMAIN_LABEL})*\.?|\[(?P<address>[0-9A-Fa-f:.]+)\])(?::(?P<port>[0-9]{{1,5}}))?"
)
_MAX_HOST: Final = 255
_MAX_REPOSITORY: Final = 255
_MAX_PORT: Final = 65535
_TRANSPORT: Final = "docker://"
_DOCKER_HUB: Final = "docker.io"
_DOCKER_HUB_NAMES: Final = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})


def without_transport(text: str) -> str:
    """Return a reference without the prefix `docker://`, skopeo's word for a registry (BEHAVIOUR 1.6)."""
    return text.removeprefix(_TRANSPORT)


def parse_tag(text: str) -> str:
    """Return `text` if it is a tag; raises ValueError."""
    if not _TAG.fullmatch(text):
        raise ValueError(
            f"{text[:140]!r} is not a tag: at most 128 letters, digits, '_', '.', '-', not starting with '.' or '-'"
        )
    return text


def parse_repository(text: str) -> str:
    """Return `text` if it is a repository name; raises ValueError."""
    if not text:
        raise ValueError("the repository name is empty")
    if len(text) > _MAX_REPOSITORY:
        raise ValueError(f"the repository name has more than {_MAX_REPOSITORY} characters")
    if not _REPOSITORY.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a repository name: lower-case letters and digits, joined by '.', '_', '__' or '-',"
            " in parts split by '/'"
        )
    return text


def parse_registry(text: str) -> str:
    """Return the canonical spelling of a registry's host, with or without a port; raises ValueError.

    Lower case (RFC 3986, 3.2.2), except for a name that only its upper case tells from a part of a repository name.
    """
    match = _REGISTRY.fullmatch(text) if len(text) <= _MAX_HOST else None
    if match is None or int(match["port"] or 1) not in range(1, _MAX_PORT + 1) or not _is_address(match["address"]):
        raise ValueError(f"{text[:_MAX_HOST]!r} is not a registry host")
    port = f":{int(match['port'])}" if match["port"] else ""
    spelled = match["host"].lower() + port
    return spelled if carries_registry(f"{spelled}/") else text


def _is_address(text: str | None) -> bool:
    """Tell whether the text in brackets, if any, is an IPv6 address."""
    try:
        return text is None or bool(ipaddress.IPv6Address(text))
    except ValueError:
        return False


def carries_registry(text: str) -> bool:
    """Tell whether the first part of a name is a host: it has a '.', a ':' or an upper-case letter, or is localhost."""
    first, slash, _ = text.partition("/")
    return bool(slash) and (first == "localhost" or "." in first or ":" in first or first != first.lower())


def parse_tag_name(text: str) -> str:
    """Return the full name of a tag, host/repository:tag, in the ledger's spelling; raises ValueError."""
    name = without_transport(text)
    reference = Reference.parse(name)
    if not carries_registry(name) or reference.tag is None or reference.digest is not None:
        raise ValueError("Write host/repository:tag")
    return str(reference)


class RepositoryName(NamedTuple):
    """A repository of a registry."""

    registry: str
    name: str

    def __str__(self) -> str:
        return f"{self.registry}/{self.name}"


class Reference(msgspec.Struct, frozen=True):
    """The place of an image: a registry, a repository there, and a tag or digest in it."""

    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a reference, Docker Hub's short names included; raises ValueError."""
        rest, at, digest = text.partition("@")
        if "/" in digest:
            # The text is not shown: a user and a password may stand before the host.
            raise ValueError("what follows the '@' is not a digest; a reference carries no credentials")
        parsed_digest = parse_digest(digest) if at else None
        if carries_registry(rest):
            registry, _, rest = rest.partition("/")
            registry = parse_registry(registry)
        else:
            registry = _DOCKER_HUB
        name, colon, tag = rest.partition(":")
        parsed_tag = parse_tag(tag) if colon else None
        if registry in _DOCKER_HUB_NAMES:
            registry = _DOCKER_HUB
            if name and "/" not in name:
                name = f"library/{name}"
        return cls(registry, parse_repository(name), parsed_tag, parsed_digest)

    @property
    def identifier(self) -> str:
        """The reference within the repository: the digest if there is one, else the tag (else "")."""
        return self.digest or self.tag or ""

    @property
    def name(self) -> str:
        """Registry and repository."""
        return f"{self.registry}/{self.repository}"

    @property
    def place(self) -> RepositoryName:
        """The repository."""
        return RepositoryName(self.registry, self.repository)

    def at(self, digest: Digest) -> "Reference":
        """Return the reference to `digest` in the same repository."""
        return msgspec.structs.replace(self, tag=None, digest=digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"
