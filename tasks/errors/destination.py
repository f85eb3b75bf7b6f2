"""Errors of destinations: a tag cannot be brought to what the push wants."""

from tasks.errors.base import ImagePusherError, Retry, Side


class DestinationError(ImagePusherError):
    """The destination cannot be brought to the wanted state."""

    code = "destination_error"
    side = Side.DESTINATION


class DestinationChildMissing(DestinationError):
    """The tag's index names a manifest that is gone."""

    code = "destination_child_missing"
    advice = 'Push that platform again, or let the target drop it with `missing_children = "drop"`.'


class DestinationAmbiguous(DestinationError):
    """Other clients may read the tag's index in another way."""

    code = "manifest_ambiguous"
    advice = "The tag was not moved. Set `merge` of the item to false to overwrite it."


class TagConflict(DestinationError):
    """Someone else keeps writing the tag."""

    code = "tag_conflict"
    advice = "Someone else writes this tag. Push again when they are done."


class TagMovedSince(TagConflict):
    """Someone else moved the tag after the push, which is to be taken back."""

    advice = "It is left alone. If it is not right, another push moves it."


class CopyIncomplete(DestinationError):
    """A part that the tag needs did not arrive."""

    code = "copy_incomplete"
    advice = "The tag was not moved. Push again to complete it."


class DestinationSlow(ImagePusherError):
    """The destination takes and answers next to nothing and occupies its share of the worker."""

    code = "destination_slow"
    advice = "The copy is tried again later. Other pushes go on meanwhile."
    side = Side.DESTINATION
    retry = Retry.GIVE_BACK
