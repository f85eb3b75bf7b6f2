"""Read from Amazon ECR whether tags may move (DescribeRepositories, by boto3); it has no quota of bytes."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from tasks.errors import ResponseInvalid, SettingsInvalid
from tasks.registry.auth.logins.ecr import Place, amazon_client, amazon_errors, place_of
from tasks.registry.preflight.questions import SECONDS, Asking, Wish
from tasks.registry.vendor_libraries import need

_PURPOSE: Final = "Asking Amazon ECR which tags are immutable"
_MISSING: Final = "RepositoryNotFoundException"
_IMMUTABLE: Final = frozenset({"IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION"})


class TagMutability(NamedTuple):
    """The mutability of a repository's tags: those that match an `exclusion`, where `*` stands for any text, differ."""

    setting: str = "MUTABLE"
    exclusions: Sequence[str] = ()

    def keeps(self, tag: str) -> bool:
        """Tell whether an existing tag is immutable."""
        excluded = any(re.fullmatch(re.escape(each).replace(r"\*", ".*"), tag) for each in self.exclusions)
        return (self.setting in _IMMUTABLE) != excluded


def why_immutable(asking: Asking, name: str, tag: str) -> str | None:
    """Return the reason why a tag may not move, None if it may; raises RegistryError, SettingsInvalid."""
    found = asking.once(name, lambda: _mutability(asking.transport.registry, name))
    return f"its repository is {found.setting} at Amazon ECR" if found.keeps(tag) else None


def why_fixed(asking: Asking, name: str, tag: str) -> str | None:
    """Return None: Amazon ECR lets its immutable tags be deleted."""
    del asking, name, tag
    return None


def why_full(asking: Asking, name: str, wish: Wish) -> None:
    """Return None: Amazon ECR does not tell of a quota."""
    del asking, name, wish


def _mutability(registry: str, name: str) -> TagMutability:
    place = place_of(registry)
    if place is None:
        raise SettingsInvalid(f"{registry} is not a private registry of Amazon ECR.")
    with amazon_errors(f"Amazon ECR does not describe {name} in {place.region}", _PURPOSE):
        return _described(place, name)


def _described(place: Place, name: str) -> TagMutability:
    exceptions = need("botocore.exceptions", extra="aws", purpose=_PURPOSE)
    client = amazon_client("ecr", place.region, _PURPOSE, seconds=SECONDS, tries=1)
    try:
        answer = client.describe_repositories(registryId=place.account, repositoryNames=[name])
    except exceptions.ClientError as error:
        if error.response.get("Error", {}).get("Code") == _MISSING:
            # A template may make it when it is pushed to; it has no tag yet.
            return TagMutability()
        raise
    try:
        (found,) = answer["repositories"]
        filters = found.get("imageTagMutabilityExclusionFilters") or []
        return TagMutability(found["imageTagMutability"], tuple(each["filter"] for each in filters))
    except (LookupError, TypeError, ValueError):
        raise ResponseInvalid(f"Amazon ECR described {name} in another form than its API has.") from None
