"""Errors of releases: tags that move together, or not at all."""

from tasks.errors.base import ImagePusherError, Retry
from tasks.errors.destination import DestinationError


class Withheld(ImagePusherError):
    """The tag did not move since something else of its item, release or push failed."""

    code = "withheld"
    advice = "Fix that and push again."


class Irreversible(DestinationError):
    """The tag could not be put back if another tag of its release failed."""

    code = "irreversible"
    advice = 'No tag was moved. Set `irreversible` of the item to "accept" to move it all the same.'


class RolledBack(DestinationError):
    """Another tag of the release could not be moved."""

    code = "rolled_back"
    advice = "The tag was put back to what it was. Fix that and push again."


class ReleaseUnsettled(DestinationError):
    """The release is rolled back, and one of its tags could not be put back yet."""

    code = "release_unsettled"
    advice = "The push goes on rolling the release back."
    retry = Retry.LATER
