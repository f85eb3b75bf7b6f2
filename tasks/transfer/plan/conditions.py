"""The conditions of a tag change (BEHAVIOUR 10.2 to 10.4). Pure.

They are checked when the push is planned, and again under the lock of the tag. None means that the change is allowed.
"""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Final

import msgspec

from tasks import contract
from tasks.errors import (
    ExpectationFailed,
    ImagePusherError,
    Irreversible,
    OlderThanDestination,
    PlatformMissing,
    PlatformRemovalRefused,
    Side,
    TagHeld,
    TagImmutable,
    VersionUnknown,
)
from tasks.oci import media_types
from tasks.oci.digest import Digest
from tasks.oci.merge import MergeRules
from tasks.oci.platform import Platform
from tasks.oci.reference import Reference
from tasks.oci.version import CREATED, VERSION, Age, newest, order_of, time_key
from tasks.transfer.plan.decide import Current, Decision, read_index
from tasks.transfer.request.conditions import Conditions, Expectation

# Characters of a version that an image declares.
_LONGEST_SHOWN: Final = 60


class Change(msgspec.Struct, frozen=True):
    """The change of a tag from `current` to the result of the decision; `before` is its digest before the push."""

    reference: Reference
    before: Digest | None
    current: Current | None
    decision: Decision
    rules: MergeRules

    @property
    def is_none(self) -> bool:
        """Whether the tag stays as it is."""
        return self.current is not None and self.current.digest == self.decision.digest


def refusal(change: Change, conditions: Conditions, hold: contract.Hold | None) -> ImagePusherError | None:
    """Return the first reason against a change, apart from the age of the image; raises DestinationError."""
    missing = lacks_platforms(change, conditions.require_platforms)
    if change.is_none:
        return missing
    return (
        is_held(change, hold)
        or is_immutable(change, conditions.immutable)
        or breaks_expectation(change, conditions.expect)
        or overwrites(change, conditions.overwrite)
        or missing
        or (removes_platforms(change) if conditions.keeps_platforms else None)
    )


def is_held(change: Change, hold: contract.Hold | None) -> ImagePusherError | None:
    """Refuse a tag that an operator froze."""
    return None if hold is None or change.is_none else held(hold)


def held(hold: contract.Hold) -> TagHeld:
    """Return the error of a tag that an operator froze."""
    by = "" if hold.by is None else f" by {hold.by}"
    return TagHeld(
        f"{hold.reference} is on hold{by}: {hold.why.rstrip('.')}."
        f" `imagepusher release-hold {hold.reference}` lets it move again."
    )


def is_immutable(change: Change, patterns: Iterable[str]) -> ImagePusherError | None:
    """Refuse to change an existing tag that the target makes immutable."""
    if change.before is None or change.reference.tag is None:
        return None
    pattern = next((each for each in patterns if fnmatchcase(change.reference.tag or "", each)), None)
    if pattern is None:
        return None
    return TagImmutable(
        f"{change.reference} holds {change.before}, and the target declares tags like {pattern!r} immutable.",
        side=Side.SETTINGS,
    )


def breaks_expectation(change: Change, expectations: Iterable[Expectation]) -> ImagePusherError | None:
    """Refuse a tag that did not hold the expected digest before the push."""
    for expected in expectations:
        if expected.reference == change.reference and expected.digest != change.before:
            wanted = expected.digest or "that it is absent"
            return ExpectationFailed(
                f"{change.reference} {_held(change)}; `expect` says {wanted}. {_who_moved(change)}"
            )
    return None


def overwrites(change: Change, overwrite: contract.Overwrite) -> ImagePusherError | None:
    """Refuse to write over a tag (`never`), or to replace or remove an image of it (`same`)."""
    if overwrite == "always" or change.before is None or change.current is None:
        return None
    if overwrite == "same" and _images(change.current) <= _images(change.decision.held):
        return None
    return ExpectationFailed(
        f"{change.reference} {_held(change)}, which `overwrite: {overwrite}` keeps. {_who_moved(change)}"
    )


def lacks_platforms(change: Change, required: Iterable[Platform]) -> ImagePusherError | None:
    """Refuse to leave a tag without a required platform."""
    exact = change.rules.exact_os_version
    wanted = tuple(required)
    found = platforms_of(change.decision.held) if wanted else []
    missing = [each for each in wanted if not any(there.matches(each, exact_os_version=exact) for there in found)]
    if not missing:
        return None
    return PlatformMissing(f"{change.reference} would not have {', '.join(map(str, missing))} after the push.")


def removes_platforms(change: Change) -> ImagePusherError | None:
    """Refuse to take a platform away from a tag."""
    if change.current is None:
        return None
    exact = change.rules.exact_os_version
    left = {each.normalized(exact_os_version=exact) for each in platforms_of(change.decision.held)}
    gone = [each for each in platforms_of(change.current) if each.normalized(exact_os_version=exact) not in left]
    if not gone:
        return None
    return PlatformRemovalRefused(f"{change.reference} would lose {', '.join(dict.fromkeys(map(str, gone)))}.")


def goes_back(change: Change, conditions: Conditions, new: Age, old: Age) -> ImagePusherError | None:
    """Skip a tag that holds a newer image; refuse if the ages cannot be compared. An equal image is not newer."""
    if conditions.forward_only is None or change.current is None or change.is_none:
        return None
    by_time = conditions.forward_only == "created"
    order = time_key if by_time else order_of(conditions.version_pattern)
    mine_said, theirs_said = (new.created, old.created) if by_time else (new.versions, old.versions)
    (mine, mine_key), (theirs, theirs_key) = newest(mine_said, order), newest(theirs_said, order)
    if mine_key is None:
        return VersionUnknown(_unknown(f"the image for {change.reference}", mine_said, conditions), side=Side.SOURCE)
    if theirs_key is None:
        whose = f"{change.current.digest}, which {change.reference} holds,"
        return VersionUnknown(_unknown(whose, theirs_said, conditions))
    if mine_key >= theirs_key:
        return None
    return OlderThanDestination(f"{change.reference} holds {theirs}, which is newer than {mine}.")


def _unknown(whose: str, said: Sequence[str], conditions: Conditions) -> str:
    """Return which version, or time, is not known, what was found in its place, and how it becomes known."""
    found = f"{said[0][:_LONGEST_SHOWN]!r} is none" if said else "there is none"
    if conditions.forward_only == "created":
        return (
            f"The time of creation of {whose} is not known: {found}. Give images the annotation `{CREATED}`, or compare"
            " them by version."
        )
    if conditions.version_pattern is not None:
        found = f"{found} that the target's `version_pattern` describes"
        return f"The version of {whose} is not known: {found}. Correct the image's label `{VERSION}`, or the pattern."
    return (
        f"The version of {whose} is not known: {found}. Give the image the label `{VERSION}`, or let the target's"
        " `version_pattern` describe its versions."
    )


def accepted(error: Irreversible) -> contract.Notice:
    """Return the notice of a tag that moves although it could not be put back."""
    return contract.Notice(error.code, f"{error.message} The item accepts that.")


def platforms_of(held: Current) -> list[Platform]:
    """Return the known platforms of a tag's manifest; raises DestinationError."""
    if held.media_type in media_types.INDEXES:
        return [entry.platform for entry in read_index(held).entries if entry.platform is not None]
    return [] if held.platform is None else [held.platform]


def _images(held: Current) -> set[Digest]:
    if held.media_type in media_types.INDEXES and held.content:
        return {entry.digest for entry in read_index(held).entries}
    return {held.digest}


def _who_moved(change: Change) -> str:
    return f"`imagepusher history {change.reference}` lists the pushes that moved it."


def _held(change: Change) -> str:
    return "is not there" if change.before is None else f"holds {change.before}"
