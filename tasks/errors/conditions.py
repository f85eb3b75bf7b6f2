"""Errors of conditions: the item, the target or an operator does not let the tag move so."""

from tasks.errors.destination import DestinationError


class ExpectationFailed(DestinationError):
    """The tag does not hold the digest that the item expects (BEHAVIOUR 10.2)."""

    code = "expectation_failed"
    advice = "The tag was not moved. If it is right as it is, correct the request."


class TagHeld(DestinationError):
    """An operator froze the tag (BEHAVIOUR 10.5)."""

    code = "tag_held"
    advice = "The tag was not moved."


class PlatformRemovalRefused(DestinationError):
    """The tag would lose a platform (BEHAVIOUR 10.3)."""

    code = "platform_removal_refused"
    advice = "The tag was not moved. Push an image that has these platforms, or let the item merge."


class OlderThanDestination(DestinationError):
    """The tag holds a newer image and may only go forward, so it is skipped (BEHAVIOUR 10.4)."""

    code = "older_than_destination"
    advice = "The tag stays as it is, since it may only go forward."


class VersionUnknown(DestinationError):
    """The versions cannot be compared, and the tag may only go forward (BEHAVIOUR 10.4)."""

    code = "version_unknown"
    advice = "The tag was not moved. A push without `forward_only` moves it."
