"""Errors of registries: a request failed or was refused, or its answer cannot be used."""

from tasks.errors.base import ImagePusherError, Retry


class RegistryError(ImagePusherError):
    """A registry failed or refused a request; `status` is that of its answer, while this process still knows it."""

    code = "registry_error"
    status: int | None = None


class AuthenticationRefused(RegistryError):
    """The registry answered 401 or 403 to all credentials.

    `may_be_absent` marks a refused read: some registries refuse to read a repository that does not exist.
    """

    code = "authentication_refused"
    advice = "Check the credentials of this registry, and what they may do there."
    may_be_absent: bool = False


class RightMissing(AuthenticationRefused):
    """The token does not grant the needed right."""

    code = "right_missing"
    advice = "Nothing was written there. Give this user the right to push, or use the credentials of a user who has it."


class NotFound(RegistryError):
    """The registry answered 404 for something that must exist."""

    code = "not_found"
    advice = "Check how its name is spelt. Some registries give the same answer for what you may not read."


class NamespaceMissing(NotFound):
    """The namespace, project or repository must be made first."""

    code = "namespace_missing"
    advice = "Make the namespace, project or repository at the registry first, or check how its name is spelt."


class RepositoryMissing(NotFound):
    """The repository does not exist, and the target does not let the push make it."""

    code = "repository_missing"
    advice = (
        "Nothing was written there. Make the repository first, or let `create` of the target say who makes it"
        ' ("registry" or "api").'
    )


class RequestRefused(RegistryError):
    """The registry answered with another 4xx."""

    code = "request_refused"
    advice = "The words of the registry, if it gave any, say why. `imagepusher doctor` shows what the registry takes."


class NotDeletable(RequestRefused):
    """The registry does not delete the tag, or would delete more than the tag."""

    advice = "Delete it by the registry's own means."


class QuotaExceeded(RequestRefused):
    """The storage quota of the destination is used up."""

    code = "quota_exceeded"
    advice = "Have the quota raised, or delete what nobody needs. Then push again: what is there is not copied again."


class TagImmutable(RequestRefused):
    """The registry does not let this tag move."""

    code = "tag_immutable"
    advice = "The tag stays as it is. Push to another tag, or have the rule changed that keeps it."


class RateLimited(RegistryError):
    """The registry answered 429 until the tries were used up."""

    code = "rate_limited"
    advice = "Wait for the registry's limit, or lower the number of jobs."
    retry = Retry.LATER


class RegistryUnavailable(RegistryError):
    """The registry answered 5xx or not at all until the tries were used up."""

    code = "registry_unavailable"
    advice = (
        "Check host and port, and a proxy before it. Push again when the registry answers: what it has already is not"
        " copied again."
    )
    retry = Retry.LATER


class RegistryReadOnly(RegistryUnavailable):
    """The registry is read-only, as under maintenance."""

    code = "registry_read_only"
    advice = "The registry is under maintenance. Push again when that is over."
    retry = Retry.WAIT


class ResponseInvalid(RegistryError):
    """The answer breaks the protocol, or its body is too large."""

    code = "response_invalid"
    advice = "Check that this is the address of a registry, and that no proxy before it changes its answers."


class AddressWrong(ResponseInvalid):
    """A web page came in place of a registry's answer."""

    code = "address_wrong"
    advice = "Check the host and port of the registry, and whether a proxy or a login page stands before it."


class ContentMismatch(RegistryError):
    """The bytes do not match their digest or size."""

    code = "content_mismatch"
    advice = "The content was not committed."


class AddressForbidden(RegistryError):
    """A redirect or token realm leads to a forbidden address."""

    code = "address_forbidden"
    advice = "Nothing was sent there. Ask the operator of the registry why it leads there."
