"""Errors of sources: the image is missing, incomplete, or not what the item asks for."""

from tasks.errors.base import ImagePusherError, Retry, Side


class SourceError(ImagePusherError):
    """The source image cannot be pushed."""

    code = "source_error"
    side: Side | None = Side.SOURCE


class SourceMissing(SourceError):
    """The source reference does not exist."""

    code = "source_missing"
    advice = "Check the reference. Some registries give the same answer for an image that you may not read."


class SourceChildMissing(SourceError):
    """A manifest or blob of the image is gone."""

    code = "source_child_missing"
    advice = "The source is incomplete: push it to its registry again."


class SingleArchRefused(SourceError):
    """The image is a single-arch image, and the item refuses those."""

    code = "single_arch_refused"
    advice = (
        "To allow it, set `single_arch` of the item to `copy` or `merge`. With `push_items` of pubtools-quay, set"
        " `allow_v1_containers` in `target_settings` to true."
    )


class PlatformMissing(SourceError):
    """The image has none of the eligible platforms."""

    code = "platform_missing"
    advice = "Check the item's `platforms` and `require_platforms`."


class PlatformUnknown(SourceError):
    """An image of unknown platform would overwrite an index."""

    code = "platform_unknown"
    advice = (
        "Build the image with os and architecture in its configuration, or set `merge` of the item to false to"
        " overwrite the index."
    )


class SourceSlow(ImagePusherError):
    """The source sends next to nothing and occupies its share of the worker."""

    code = "source_slow"
    advice = "The copy is tried again later. Other pushes go on meanwhile."
    side = Side.SOURCE
    retry = Retry.GIVE_BACK
