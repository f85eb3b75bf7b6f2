"""The target of a push: a named set of settings, and its rule for repository names (BEHAVIOUR 1.4)."""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from tasks import contract
from tasks.oci.platform import Platform
from tasks.oci.reference import Reference, carries_registry, parse_registry, parse_repository
from tasks.oci.signatures import SignaturePolicy

Naming = Literal["quay", "verbatim"]
MissingChildren = Literal["error", "drop"]
# Artifact types; () stands for all types, None for no type.
Referrers = tuple[str, ...] | None
ALL_REFERRERS: Final[Referrers] = ()
Create = Literal["registry", "api", "never"]
Visibility = Literal["private", "public"]


class Target(msgspec.Struct, frozen=True):
    """A destination registry with its namespace; without a host, each repository names its own.

    `jobs` bounds the tags that are published at once, `tries` the deliveries of each task (None: the worker's limit).
    `missing_children` is the treatment of an entry that the destination's index names but its registry no longer has.
    Without `merge` a push overwrites its tags, whatever its items say. `create` says what makes a missing repository:
    the registry itself at the first push, a request to the registry's own API with this `visibility`, or nothing.
    `referrers` and `referrers_required` apply to items that do not set them; "default" leaves the choice to the form.
    `verify` is the signature that every image must have, whatever the items say.

    Tags that match a pattern of `immutable` never change once they exist. `platform_removal` and `forward_only` apply
    to every item; `version_pattern` describes versions that are not semantic ones. With `keep_replaced` the manifest
    that a release replaces at a tag gets a tag of its own, for registries that collect garbage at once.
    """

    host: str = ""
    namespace: str = ""
    naming: Naming = "verbatim"
    platforms: tuple[Platform, ...] = ()
    missing_children: MissingChildren = "error"
    exact_os_version: bool = False
    jobs: int = 8
    tries: int | None = None
    merge: bool = True
    referrers: Referrers | Literal["default"] = "default"
    referrers_required: bool = False
    verify: SignaturePolicy | None = None
    immutable: tuple[str, ...] = ()
    platform_removal: contract.PlatformRemoval = "allow"
    forward_only: contract.ForwardOnly | None = None
    version_pattern: str | None = None
    keep_replaced: bool = False
    create: Create = "registry"
    visibility: Visibility = "private"

    def reference(self, repository: str) -> Reference:
        """Return the full name of a repository in the request, without a tag; raises ValueError."""
        if not repository:
            raise ValueError("the repository name is empty")
        if not self.host:
            if not carries_registry(repository):
                raise ValueError(
                    f"{repository!r} carries no registry host, and the push names no target: write host/namespace/name"
                )
            reference = Reference.parse(repository)
            if reference.identifier:
                raise ValueError(f"{repository!r} is a repository with its tags beside it, not a reference")
            return reference
        name = quay_name(repository) if self.naming == "quay" else repository
        path = f"{self.namespace}/{name}" if self.namespace else name
        return Reference(parse_registry(self.host.rstrip("/")), parse_repository(path))


# The defaults: the class of a struct holds none.
TARGET: Final = Target()


def quay_name(repository: str) -> str:
    """Return Quay's name of a repository: its namespaces have no second level; raises ValueError."""
    if repository.startswith("/") or repository.endswith("/") or repository.count("/") > 1:
        raise ValueError(f"{repository!r} must be `repository` or `namespace/repository`")
    return repository.replace("/", "----")


def read_referrers(said: Literal["all", "none"] | Sequence[str]) -> Referrers:
    """Return the artifact types that come along; raises ValueError for an empty list or an empty artifact type."""
    if said == "none":
        return None
    if said == "all":
        return ALL_REFERRERS
    if isinstance(said, str) or not said or not all(said):
        raise ValueError('must be "all", "none" or a list of artifact types')
    return tuple(dict.fromkeys(said))
