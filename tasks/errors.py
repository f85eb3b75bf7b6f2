"""All errors of pushes.

    ImagePusherError
    ├── RequestInvalid               the request breaks a rule; carries all faults
    ├── NotPermitted                 no rule of the settings permits this action of the producer
    ├── SettingsInvalid              the configuration breaks a rule
    ├── PushFailed                   some part of the push failed; carries the report
    ├── PushUnknown                  the ledger has no such push
    ├── PushUnfinished               the push has no report yet
    ├── PushStalled                  the push makes no progress, even after its tasks were sent again
    ├── PushAbandoned                a task of the push ended its worker at each delivery
    ├── PushUndone                   the push was undone while it was under way
    ├── PushCancelledByUser          somebody cancelled the push
    ├── Withheld                     another part of the tag's item, release or push failed
    ├── StateUnavailable             the Redis that holds ledger and locks does not serve
    ├── StateFolderUnusable          the ledger in the state folder cannot be read or written
    ├── SourceError                  the source image cannot be pushed
    │   ├── SourceMissing            the reference does not exist
    │   ├── SourceChildMissing       a manifest or blob of the image is gone
    │   ├── ManifestInvalid          the manifest breaks the OCI specification
    │   │   └── ManifestAmbiguous    other clients may read the manifest in another way
    │   ├── SchemaUnsupported        a docker schema 1 image
    │   ├── IndexEmpty               an index without entries
    │   ├── SingleArchRefused        a single-arch image where only multi-arch ones are allowed
    │   ├── PlatformMissing          the image has none of the eligible platforms
    │   ├── SignatureMissing         the image lacks a required signature
    │   ├── SignatureInvalid         no signature of the image is by a required key
    │   ├── ReferrersUnreadable      the source does not list or serve the referrers of the image
    │   └── PlatformUnknown          an image of unknown platform would overwrite an index
    ├── DestinationError             the destination cannot be brought to the wanted state
    │   ├── DestinationChildMissing  the tag's index names a manifest that is gone
    │   ├── DestinationAmbiguous     other clients may read the tag's index in another way
    │   ├── ExpectationFailed        the tag does not hold the digest that the item expects
    │   ├── TagHeld                  an operator froze the tag
    │   ├── PlatformRemovalRefused   the tag would lose a platform
    │   ├── OlderThanDestination     the tag holds a newer image and may only go forward; no failure
    │   ├── VersionUnknown           the versions cannot be compared, and the tag may only go forward
    │   ├── TagConflict              someone else keeps writing the tag
    │   ├── LockUnavailable          another push holds the tag
    │   ├── LockLost                 this push lost the tag while it worked on it
    │   ├── Irreversible             the tag could not be put back if another tag of its release fails
    │   ├── RolledBack               another tag of the release could not be moved
    │   ├── ReleaseUnsettled         a tag of a release that is rolled back could not be put back yet
    │   ├── ReferrersRefused         the registry refuses the referrers of the image
    │   ├── ReceiptMissing           a tag that moved has no receipt
    │   ├── ReceiptInvalid           a receipt is not what the push did, or by another key
    │   └── CopyIncomplete           a part that the tag needs did not arrive
    ├── PartBusy                     another delivery works on this part of the push; the task goes back to the queue
    ├── PushCancelled                the worker is shutting down; the task goes back to the queue
    ├── SourceSlow                   the source holds as many places of the worker as one may; the task waits
    └── RegistryError                a registry failed or refused a request
        ├── AuthenticationRefused    401 or 403 after all credentials were tried
        │   └── RightMissing         the token does not grant the needed right
        ├── NotFound                 404 for a resource that must exist
        │   ├── NamespaceMissing     the namespace, project or repository must be made first
        │   └── RepositoryMissing    the repository does not exist, and the push is not to make it
        ├── RequestRefused           another 4xx
        │   ├── QuotaExceeded        the storage quota is used up
        │   └── TagImmutable         the registry does not let this tag move
        ├── RateLimited              429 until retries ran out
        ├── RegistryUnavailable      5xx, connection loss or timeout until retries ran out
        │   └── RegistryReadOnly     the registry is under maintenance and read-only for now
        ├── ResponseInvalid          an answer that breaks the protocol, or a body over its cap
        │   └── AddressWrong         a web page in place of a registry's answer
        ├── ContentMismatch          bytes that do not match their digest or size
        └── AddressForbidden         a redirect or realm that leads to a forbidden address

Each error knows its side, whether its task is tried again, and the seconds to wait before that. Every class takes
positional arguments only, so that Celery's JSON result rebuilds it from `args`.
"""

import enum
from collections.abc import Iterable
from typing import Any, Final, Self


class Side(enum.StrEnum):
    """The side on which the cause of an error is."""

    SOURCE = "source"
    DESTINATION = "destination"
    STATE = "state"
    """The broker, or the Redis that holds ledger and locks."""
    SETTINGS = "settings"
    """The request, or the settings of this program."""
    WORKER = "worker"


class Retry(enum.Enum):
    """The rule for another try of the task that met an error."""

    NEVER = "never"
    """The next try would end in the same way."""
    LATER = "later"
    """The other side may serve later: the task's tries are counted."""
    WAIT = "wait"
    """The other side will serve again, and nothing else is to be done: it is waited for, up to
    `limits.maintenance_seconds`."""
    GIVE_BACK = "give back"
    """Nothing of the task is at fault: it goes back to its queue, however often."""


class ImagePusherError(Exception):
    """The base of all errors: a message, its side, and advice for the user.

    `side` is None while it is unknown, `retry_after` if no time was asked for.
    """

    code: str = "internal_error"
    advice: str = ""
    side: Side | None = None
    retry: Retry = Retry.NEVER
    retry_after: float | None = None

    def __init__(self, message: str, retry_after: float | None = None, side: Side | str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if retry_after is not None:
            self.retry_after = retry_after
        if side is not None:
            self.side = Side(side)
        self._pack()

    @property
    def passes(self) -> bool:
        """Whether another try may succeed."""
        return self.retry in {Retry.LATER, Retry.WAIT}

    def on(self, side: Side | str) -> Self:
        """Set the side of the error, unless it is known, and return the error."""
        if self.side is None:
            self.side = Side(side)
            self._pack()
        return self

    def _pack(self) -> None:
        """Set `args` so that they rebuild the error."""
        said = (self.message, self.__dict__.get("retry_after"), self.__dict__.get("side"))
        self.args = said if any(value is not None for value in said[1:]) else said[:1]

    # Plans and outcomes hold errors, and are compared as values.
    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and str(self) == str(other) and self.args == getattr(other, "args", ())

    def __hash__(self) -> int:
        return hash((type(self), self.message))

    def __str__(self) -> str:
        return f"{self.message} {self.advice}".rstrip()

    def __repr__(self) -> str:
        # Monitors show this text: one line, without the report of a PushFailed.
        return f"{type(self).__name__}({self.message!r})"


# A builtin base beside our own is the exception that pubtools-quay raised: its callers catch it.
class RequestInvalid(ImagePusherError, ValueError, KeyError):
    """The request breaks a rule; carries all faults."""

    code = "request_invalid"
    side = Side.SETTINGS
    advice = "Nothing was written."

    def __init__(self, message: str, faults: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.faults = faults or []
        self.args = (message, self.faults)


class NotPermitted(ImagePusherError):
    """No rule of the settings permits this action of the producer."""

    code = "not_permitted"
    side = Side.SETTINGS
    advice = "Nothing was read or written. Whoever runs the workers sets `producers` and `policy`."


class SettingsInvalid(ImagePusherError):
    """The configuration breaks a rule."""

    code = "settings_invalid"
    side = Side.SETTINGS


class PushFailed(ImagePusherError, RuntimeError):
    """Some part of the push failed; carries the report."""

    code = "push_failed"

    def __init__(self, message: str, report: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.report = report or {}
        self.args = (message, self.report)


class PushUnknown(ImagePusherError):
    """The ledger has no such push."""

    code = "push_unknown"
    advice = "`imagepusher status` lists the pushes that are remembered."


class PushUnfinished(ImagePusherError):
    """The push has no report yet."""

    code = "push_unfinished"


class PushStalled(ImagePusherError):
    """The push makes no progress, even after its tasks were sent again."""

    code = "stalled"
    side = Side.STATE
    advice = "Look whether workers serve all three queues, then push again: what is done is not done again."


class PushAbandoned(ImagePusherError):
    """A task of the push ended its worker at each delivery."""

    code = "abandoned"
    side = Side.WORKER
    advice = "Look at the log, and at the memory limit, of the workers that ended; then push again."


class PushUndone(ImagePusherError):
    """The push was undone while it was under way."""

    code = "undone"
    advice = "The tag was not moved."


class PushCancelledByUser(ImagePusherError):
    """Somebody cancelled the push."""

    code = "cancelled_by_user"
    advice = "The tag was not moved."


class Withheld(ImagePusherError):
    """Another part of the tag's item, release or push failed."""

    code = "withheld"
    advice = "Mend that and push again."


class StateUnavailable(ImagePusherError):
    """The Redis that holds ledger and locks does not serve."""

    code = "state_unavailable"
    side = Side.STATE
    retry = Retry.GIVE_BACK
    advice = (
        "Does it run, can it be reached from here, and is it neither out of memory nor read-only? Are address, user and"
        " password right (`broker.url`, `broker.result_url`, `broker.state_url`)? `imagepusher doctor` tells more."
    )


class StateFolderUnusable(ImagePusherError):
    """The ledger in the state folder cannot be read or written."""

    code = "state_folder_unusable"
    side = Side.STATE
    advice = (
        "Make room there, or let state_dir (IMAGEPUSHER_STATE_DIR) name a folder that you may write to. Then push"
        " again: what is done is not done again."
    )


class SourceError(ImagePusherError):
    """The source image cannot be pushed."""

    code = "source_error"
    side: Side | None = Side.SOURCE


class SourceMissing(SourceError):
    """The reference does not exist."""

    code = "source_missing"
    advice = "Check the reference; some registries answer the same for an image that you may not read."


class SourceChildMissing(SourceError):
    """A manifest or blob of the image is gone."""

    code = "source_child_missing"
    advice = "The source is incomplete: push it to its registry again."


class ManifestInvalid(SourceError):
    """The manifest breaks the OCI specification."""

    code = "manifest_invalid"
    # A destination may hold such a manifest, too.
    side = None
    advice = "Rebuild the image or push it to its registry again."


class ManifestAmbiguous(ManifestInvalid):
    """Other clients may read the manifest in another way."""

    code = "manifest_ambiguous"
    advice = "Nothing of it is pushed. Find out who wrote it, and push the image to its registry again."


class SchemaUnsupported(SourceError):
    """A docker schema 1 image."""

    code = "schema_unsupported"
    advice = "Docker schema 1 images cannot be copied; rebuild the image with a current tool."


class IndexEmpty(SourceError):
    """An index without entries."""

    code = "index_empty"
    advice = "An index without entries holds nothing to push."


class SingleArchRefused(SourceError):
    """A single-arch image where only multi-arch ones are allowed."""

    code = "single_arch_refused"
    advice = (
        "Set `single_arch` of the item to `copy` or `merge` to allow it; with `push_items` of pubtools-quay, set"
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


class SignatureMissing(SourceError):
    """The image lacks a required signature."""

    code = "signature_missing"
    advice = "Nothing of it was copied. Sign that digest, or push the one that is signed."


class SignatureInvalid(SourceError):
    """No signature of the image is by a required key."""

    code = "signature_invalid"
    advice = "Nothing of it was copied. Check the keys of `verify`, and who signed the image."


class ReferrersUnreadable(SourceError):
    """The source does not list or serve the referrers of the image."""

    code = "referrers_unreadable"
    advice = (
        "Signatures and SBOMs may be missing at the destination: push again when the source serves them, or set"
        " `referrers` of the item to none."
    )


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


class ExpectationFailed(DestinationError):
    """The tag does not hold the digest that the item expects (BEHAVIOUR 10.2)."""

    code = "expectation_failed"
    advice = "The tag was not moved."


class TagHeld(DestinationError):
    """An operator froze the tag (BEHAVIOUR 10.5)."""

    code = "tag_held"
    advice = "The tag was not moved."


class PlatformRemovalRefused(DestinationError):
    """The tag would lose a platform (BEHAVIOUR 10.3)."""

    code = "platform_removal_refused"
    advice = "The tag was not moved. Push an image that has these platforms, or let the item merge."


class OlderThanDestination(DestinationError):
    """The tag holds a newer image and may only go forward: it is skipped (BEHAVIOUR 10.4)."""

    code = "older_than_destination"
    advice = "The tag stays as it is: it goes forward only."


class VersionUnknown(DestinationError):
    """The versions cannot be compared, and the tag may only go forward (BEHAVIOUR 10.4)."""

    code = "version_unknown"
    advice = (
        "The tag was not moved. Give the image the label `org.opencontainers.image.version`, let the target's"
        " `version_pattern` describe its versions, or push once without `forward_only`."
    )


class TagConflict(DestinationError):
    """Someone else keeps writing the tag."""

    code = "tag_conflict"
    advice = "Someone else writes this tag; push again when they are done."


class LockUnavailable(DestinationError):
    """Another push holds the tag."""

    code = "lock_unavailable"
    side = Side.STATE
    retry = Retry.LATER
    advice = "Another push holds this tag; push again when it is done."


class PartBusy(ImagePusherError):
    """Another delivery works on this part of the push."""

    code = "part_busy"
    side = Side.STATE
    retry = Retry.GIVE_BACK
    advice = "Nothing is to be done: the part goes on when the other delivery has ended."


class LockLost(DestinationError):
    """This push lost the tag while it worked on it."""

    code = "lock_lost"
    side = Side.STATE
    retry = Retry.LATER
    advice = "The tag was not written; push again."


class RolledBack(DestinationError):
    """Another tag of the release could not be moved."""

    code = "rolled_back"
    advice = "The tag was put back to what it was. Mend that and push again."


class ReleaseUnsettled(DestinationError):
    """A tag of a release that is rolled back could not be put back yet."""

    code = "release_unsettled"
    advice = "The push goes on rolling the release back."
    retry = Retry.LATER


class Irreversible(DestinationError):
    """The tag could not be put back if another tag of its release fails."""

    code = "irreversible"
    advice = 'No tag was moved. Set `irreversible` of the item to "accept" to move it all the same.'


class ReferrersRefused(DestinationError):
    """The registry refuses the referrers of the image."""

    code = "referrers_refused"
    advice = (
        "Signatures and SBOMs are missing there: use a registry that takes them, or set the item's `referrers` to none."
    )


class ReceiptMissing(DestinationError):
    """A tag that moved has no receipt."""

    code = "receipt_missing"
    advice = "The tag is right all the same, and no receipt is made later."


class ReceiptInvalid(DestinationError):
    """A receipt does not say what the push did, or is not signed by a given key."""

    code = "receipt_invalid"
    advice = "Was it signed with another key? Else somebody has changed what the ledger keeps."


class CopyIncomplete(DestinationError):
    """A part that the tag needs did not arrive."""

    code = "copy_incomplete"
    advice = "The tag was not moved; push again to complete it."


class PushCancelled(ImagePusherError):
    """The worker is shutting down; the task goes back to the queue."""

    code = "cancelled"
    advice = "The task goes back to the queue."
    side = Side.WORKER
    retry = Retry.GIVE_BACK
    retry_after = 0.0


class SourceSlow(ImagePusherError):
    """The source sends next to nothing, and holds as many places of the worker as one source may."""

    code = "source_slow"
    advice = "The copy is tried again later; other pushes are not held up by this source."
    side = Side.SOURCE
    retry = Retry.GIVE_BACK


class RegistryError(ImagePusherError):
    """A registry failed or refused a request."""

    code = "registry_error"


class AuthenticationRefused(RegistryError):
    """401 or 403; `may_be_absent` marks a refused read: some registries answer so for a missing repository."""

    code = "authentication_refused"
    advice = "Check the credentials of this registry and what they may do there."
    may_be_absent: bool = False


class RightMissing(AuthenticationRefused):
    """The token does not grant the needed right."""

    code = "right_missing"
    advice = "Nothing was written there: give this user the right to push, or use the credentials of one who has it."


class NotFound(RegistryError):
    """404 for a resource that must exist."""

    code = "not_found"
    advice = "Check how its name is spelt; some registries answer the same for what you may not read."


class NamespaceMissing(NotFound):
    """The namespace, project or repository must be made first."""

    code = "namespace_missing"
    advice = "Make the namespace, project or repository at the registry first, or check how its name is spelt."


class RepositoryMissing(NotFound):
    """The repository does not exist, and the push is not to make it."""

    code = "repository_missing"
    advice = (
        "Nothing was written there: make the repository first, or let `create` of the target say who makes it"
        ' ("registry" or "api").'
    )


class RequestRefused(RegistryError):
    """Another 4xx."""

    code = "request_refused"
    advice = "The words of the registry, if it gave any, say why; `imagepusher doctor` looks at what it takes."


class QuotaExceeded(RequestRefused):
    """The storage quota is used up."""

    code = "quota_exceeded"
    advice = "Have the quota raised, or delete what is not needed; then push again: what is there is not copied again."


class TagImmutable(RequestRefused):
    """The registry does not let this tag move."""

    code = "tag_immutable"
    advice = "The tag stays as it is: push to another tag, or have the rule changed that keeps it."


class RateLimited(RegistryError):
    """429 until retries ran out."""

    code = "rate_limited"
    advice = "Wait for the registry's limit, or lower the number of jobs."
    retry = Retry.LATER


class RegistryUnavailable(RegistryError):
    """5xx, connection loss or timeout until retries ran out."""

    code = "registry_unavailable"
    advice = (
        "Check host and port, and a proxy before it; push again when the registry answers: what is there already is not"
        " copied again."
    )
    retry = Retry.LATER


class RegistryReadOnly(RegistryUnavailable):
    """The registry is under maintenance and read-only for now."""

    code = "registry_read_only"
    advice = "The registry is under maintenance; push again when it is over."
    retry = Retry.WAIT


class ResponseInvalid(RegistryError):
    """An answer that breaks the protocol, or a body over its cap."""

    code = "response_invalid"
    advice = "Check that this is the address of a registry, and that no proxy before it changes its answers."


class AddressWrong(ResponseInvalid):
    """A web page in place of a registry's answer."""

    code = "address_wrong"
    advice = "Check host and port of the registry, and whether a proxy or a login page stands before it."


class ContentMismatch(RegistryError):
    """Bytes that do not match their digest or size."""

    code = "content_mismatch"
    advice = "The content was not committed."


class AddressForbidden(RegistryError):
    """A redirect or realm that leads to a forbidden address."""

    code = "address_forbidden"
    advice = "Nothing was sent there: ask whoever runs the registry why it leads there."


def may_pass(code: str) -> bool:
    """Tell whether another try may succeed after an error of this code."""
    return _BY_CODE.get(code, ImagePusherError).retry in {Retry.LATER, Retry.WAIT}


def longest_wait(errors: Iterable[ImagePusherError]) -> ImagePusherError | None:
    """Return the error with the longest wait among those worth another try; None if there is none."""
    later = [error for error in errors if error.passes]
    return max(later, key=lambda error: error.retry_after or 0.0, default=None)


def to_record(error: ImagePusherError) -> dict[str, Any]:
    """Return an error as JSON types, from which `from_record` rebuilds it."""
    record = {"code": error.code, "message": error.message, "side": error.side, "retry_after": error.retry_after}
    return {key: value for key, value in record.items() if value is not None}


def from_record(record: dict[str, Any]) -> ImagePusherError:
    """Return the error of a record; an unknown code is kept as it is."""
    kind = _BY_CODE.get(record["code"], ImagePusherError)
    error = kind(record["message"]) if kind in _OTHERWISE_MADE else kind(*_arguments(record))
    error.code = record["code"]
    return error


def _arguments(record: dict[str, Any]) -> tuple[Any, ...]:
    return record["message"], record.get("retry_after"), record.get("side")


def _tree(kind: type[ImagePusherError]) -> list[type[ImagePusherError]]:
    return [kind, *(below for each in kind.__subclasses__() for below in _tree(each))]


_OTHERWISE_MADE: Final = (RequestInvalid, PushFailed)
_BY_CODE: Final = {kind.code: kind for kind in _tree(ImagePusherError)}
