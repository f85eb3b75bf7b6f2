"""Every error that a push can end in.

    ImagePusherError
    ├── RequestInvalid               the request breaks a rule; carries all faults
    ├── SettingsInvalid              the configuration breaks a rule
    ├── PushFailed                   something of the push failed; carries the report
    ├── PushUnknown                  the ledger has no such push
    ├── PushUnfinished               the push has no report yet
    ├── PushStalled                  the push stopped making progress, and driving it on did not help
    ├── PushAbandoned                a task of the push ended its worker each time that it was delivered
    ├── PushUndone                   the push was taken back while it was under way
    ├── PushCancelledByUser          somebody cancelled the push
    ├── StateUnavailable             the Redis that holds ledger and locks does not serve
    ├── SourceError                  the source image cannot be pushed
    │   ├── SourceMissing            the reference does not exist
    │   ├── SourceChildMissing       its index names a manifest or blob that is gone
    │   ├── ManifestInvalid          its manifest is not what the OCI specification describes
    │   ├── SchemaUnsupported        a docker schema 1 image
    │   ├── IndexEmpty               an index without entries
    │   ├── SingleArchRefused        a single-arch image where only multi-arch ones are allowed
    │   └── PlatformMissing          none of the eligible platforms is in it
    ├── DestinationError             the destination cannot be brought to the wanted state
    │   ├── DestinationChildMissing  its index names a manifest that is gone
    │   ├── TagConflict              someone else keeps writing the tag
    │   ├── LockUnavailable          another push holds the tag
    │   ├── LockLost                 this push lost the tag while it worked on it
    │   └── CopyIncomplete           what the tag needs did not arrive
    ├── PushCancelled                the worker is shutting down; the task goes back to the queue
    └── RegistryError                a registry did not do what was asked
        ├── AuthenticationRefused    401 or 403 after all credentials were tried
        ├── NotFound                 404 where something had to be
        ├── RequestRefused           another 4xx
        ├── RateLimited              429 until retries ran out
        ├── RegistryUnavailable      5xx, connection loss or timeout until retries ran out
        ├── ResponseInvalid          an answer that breaks the protocol, or a body over its cap
        ├── ContentMismatch          bytes that are not those of the digest or size
        └── AddressForbidden         a redirect or realm that leads where it must not

Every class takes positional arguments only, so that Celery's JSON result rebuilds it from `args`.
"""

from typing import Any, ClassVar


class ImagePusherError(Exception):
    """Say what happened, where, and what the user can do."""

    code: ClassVar[str] = "internal_error"
    advice: ClassVar[str] = ""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return f"{self.message} {self.advice}".rstrip()

    def __repr__(self) -> str:
        # Monitors show this: one line, and not the report that a PushFailed carries.
        return f"{type(self).__name__}({self.message!r})"


class RequestInvalid(ImagePusherError):
    code = "request_invalid"
    advice = "Nothing was written."

    def __init__(self, message: str, faults: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.faults = faults or []
        self.args = (message, self.faults)


class SettingsInvalid(ImagePusherError):
    code = "settings_invalid"


class PushFailed(ImagePusherError):
    code = "push_failed"

    def __init__(self, message: str, report: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.report = report or {}
        self.args = (message, self.report)


class PushUnknown(ImagePusherError):
    code = "push_unknown"
    advice = "`imagepusher status` lists the pushes that are remembered."


class PushUnfinished(ImagePusherError):
    code = "push_unfinished"


class PushStalled(ImagePusherError):
    code = "stalled"
    advice = "Look whether workers serve all three queues, then push again: what is done is not done again."


class PushAbandoned(ImagePusherError):
    code = "abandoned"
    advice = "Look at the log, and at the memory limit, of the workers that ended; then push again."


class PushUndone(ImagePusherError):
    code = "undone"
    advice = "The tag was not moved."


class PushCancelledByUser(ImagePusherError):
    code = "cancelled_by_user"
    advice = "The tag was not moved. Push again to complete it."


class StateUnavailable(ImagePusherError):
    code = "state_unavailable"
    advice = (
        "Look at the Redis of `broker.state_url` (of `broker.url`, where that is not set): are user and password right,"
        " is it reached, out of memory, or read-only? `imagepusher doctor` tells more."
    )


class SourceError(ImagePusherError):
    code = "source_error"


class SourceMissing(SourceError):
    code = "source_missing"
    advice = "Check the reference; some registries answer the same for an image that you may not read."


class SourceChildMissing(SourceError):
    code = "source_child_missing"
    advice = "The source is incomplete: push it to its registry again."


class ManifestInvalid(SourceError):
    code = "manifest_invalid"
    advice = "Rebuild the image or push it to its registry again."


class SchemaUnsupported(SourceError):
    code = "schema_unsupported"
    advice = "Docker schema 1 images cannot be copied; rebuild the image with a current tool."


class IndexEmpty(SourceError):
    code = "index_empty"
    advice = "An index without entries holds nothing to push."


class SingleArchRefused(SourceError):
    code = "single_arch_refused"
    advice = "Set `single_arch` of the item to `copy` or `merge` to allow it."


class PlatformMissing(SourceError):
    code = "platform_missing"
    advice = "Check the item's `platforms`."


class DestinationError(ImagePusherError):
    code = "destination_error"


class DestinationChildMissing(DestinationError):
    code = "destination_child_missing"
    advice = 'Push that platform again, or let the target drop it with `missing_children = "drop"`.'


class TagConflict(DestinationError):
    code = "tag_conflict"
    advice = "Someone else writes this tag; push again when they are done."


class LockUnavailable(DestinationError):
    code = "lock_unavailable"
    advice = "Another push holds this tag; push again when it is done."


class LockLost(DestinationError):
    code = "lock_lost"
    advice = "The tag was not written; push again."


class CopyIncomplete(DestinationError):
    code = "copy_incomplete"
    advice = "The tag was not moved; push again to complete it."


class PushCancelled(ImagePusherError):
    code = "cancelled"
    advice = "The task goes back to the queue."


class RegistryError(ImagePusherError):
    code = "registry_error"


class AuthenticationRefused(RegistryError):
    code = "authentication_refused"
    advice = "Check the credentials of this registry and what they may do there."


class NotFound(RegistryError):
    code = "not_found"


class RequestRefused(RegistryError):
    code = "request_refused"


class RateLimited(RegistryError):
    """A limit was reached; `retry_after` is the seconds that the registry wants to be left alone, if it said so."""

    code = "rate_limited"
    advice = "Wait for the registry's limit, or lower the number of jobs."

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.args = (message, retry_after)


class RegistryUnavailable(RegistryError):
    """A registry does not serve; `retry_after` is the seconds that it wants to be left alone, if it said so."""

    code = "registry_unavailable"
    advice = "Push again when the registry answers; what is there already is not copied again."

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.args = (message, retry_after)


class ResponseInvalid(RegistryError):
    code = "response_invalid"


class ContentMismatch(RegistryError):
    code = "content_mismatch"
    advice = "The content was not committed."


class AddressForbidden(RegistryError):
    code = "address_forbidden"
