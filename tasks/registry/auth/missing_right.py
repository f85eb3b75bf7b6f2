"""The errors of a missing right, with the reasons that only the client knows: its token, its user (BEHAVIOUR 6.8)."""

from tasks.errors import AuthenticationRefused, RegistryError
from tasks.registry.auth.grants import lacking_right, read_grant
from tasks.registry.auth.on_demand import AuthenticationOnDemand
from tasks.registry.http.exchange import Request, Response
from tasks.registry.http.refusal import explain, refusal


def missing_right(
    authentication: AuthenticationOnDemand, host: str, repository: str, authorization: str | None
) -> RegistryError | None:
    """Return the error of a push with a token that does not allow it; None if it does, or is not readable.

    `authorization` is the Authorization value with the token, None if there is none.
    """
    grant = read_grant((authorization or "").removeprefix("Bearer "), repository)
    if grant is None or grant.may_push:
        return None
    return lacking_right(grant, host, repository, authentication.user(repository))


def refusal_with_right(
    authentication: AuthenticationOnDemand, host: str, request: Request, response: Response
) -> RegistryError:
    """Return the error that a final response means, with the right or the credentials that the request lacked."""
    error = refusal(request.method, response)
    if type(error) is not AuthenticationRefused:
        return error
    # A read with pull scope says nothing about the right to push.
    asked = not error.may_be_absent or any("push" in scope.rpartition(":")[2] for scope in request.scopes)
    lacking = missing_right(authentication, host, request.repository, response.authorization) if asked else None
    if lacking is not None:
        return type(lacking)(f"{explain(request.method, response)}. {lacking.message}")
    if response.headers.get("WWW-Authenticate") and authentication.user(request.repository) is None:
        # Nobody makes a repository without credentials: one that they may not read is not taken for absent.
        return AuthenticationRefused(f"{error.message} No credentials are configured for it.")
    return error
