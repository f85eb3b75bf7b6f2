"""Errors of registries: a failed or refused request, or an answer that cannot be used."""

from tasks.errors.base import ImagePusherError, Retry


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
    advice = "Push again when the registry answers; what is there already is not copied again."
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
