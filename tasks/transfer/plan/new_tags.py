"""Whether a new tag of a release could be deleted again (BEHAVIOUR 10.1)."""

from tasks import contract
from tasks.errors import AuthenticationRefused, Irreversible
from tasks.oci.reference import Reference, RepositoryName
from tasks.registry.preflight.preflight import Preflight
from tasks.registry.repository import Repository
from tasks.registry.repository.tags import Deletes
from tasks.transfer.plan.conditions import accepted


class NewTags:
    """The look at new tags before a push copies anything; each repository is asked once. Threads share it."""

    def __init__(self, preflight: Preflight) -> None:
        self._preflight = preflight
        self._asked: dict[RepositoryName, Deletes | AuthenticationRefused] = {}

    def check(
        self, repository: Repository, reference: Reference, *, asks_registry: bool, accepts: bool
    ) -> tuple[contract.Notice, ...]:
        """Raise Irreversible for a tag that could not be deleted again, or return that the item `accepts` it.

        Without `asks_registry` only the API of the registry's product is asked. Raises RegistryError.
        """
        if reference.tag is None:
            return ()
        error: Irreversible | None = None
        if (why := repository.why_fixed(self._preflight, reference.tag)) is not None:
            error = Irreversible(f"{reference} is new, and could not be deleted again: {why}.")
        elif asks_registry:
            error = self._undeletable(repository, reference)
        if error is None:
            return ()
        if not accepts:
            raise error
        return (accepted(error),)

    def _undeletable(self, repository: Repository, reference: Reference) -> Irreversible | None:
        if reference.place not in self._asked:
            found = deletes(repository)
            # Some registries refuse everything in a repository that is absent, until the push makes it.
            is_told = not isinstance(found, AuthenticationRefused) or repository.exists()
            self._asked[reference.place] = found if is_told else "unknown"
        return undeletable(reference, self._asked[reference.place])


def deletes(repository: Repository) -> Deletes | AuthenticationRefused:
    """Tell what the registry deletes in a repository, or why it lets this user delete nothing; raises RegistryError."""
    try:
        return repository.deletes()
    except AuthenticationRefused as error:
        return error


def undeletable(reference: Reference, found: Deletes | AuthenticationRefused) -> Irreversible | None:
    """Return the reason against a new tag that could not be deleted again, None if there is none, or none is known."""
    if isinstance(found, AuthenticationRefused):
        return Irreversible(f"{reference} is new, and could not be deleted again: {found.message}")
    if found is None:
        return Irreversible(f"{reference} is new, and its registry deletes neither tags nor manifests.")
    return None
