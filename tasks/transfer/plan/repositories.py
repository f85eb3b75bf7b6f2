"""The destination repositories of a push: missing ones are made or refused before any byte moves."""

from collections.abc import Iterable
from concurrent.futures import Executor

from tasks import contract
from tasks.errors import ImagePusherError, RepositoryMissing, Side
from tasks.oci.reference import RepositoryName
from tasks.registry.repository import Registries
from tasks.transfer.request.target import Target

Found = ImagePusherError | contract.Notice | None


def make_ready(
    places: Iterable[RepositoryName], registries: Registries, executor: Executor, target: Target, *, push: bool
) -> dict[RepositoryName, Found]:
    """Return for each repository the error against pushing, or the notice that it would be made; None if it exists.

    With `push`, a missing repository is made by the API of its registry if the target says so. Repositories that
    registries make by themselves are not checked.
    """
    if target.create == "registry":
        return {}
    wanted = list(dict.fromkeys(places))
    found = executor.map(lambda place: _ready(place, registries, target, push=push), wanted)
    return dict(zip(wanted, found, strict=True))


def _ready(place: RepositoryName, registries: Registries, target: Target, *, push: bool) -> Found:
    # Without push scope: at some registries, asking for it makes the repository (BEHAVIOUR 3.4).
    repository = registries.repository(*place, "destination")
    try:
        if repository.exists():
            return None
        if target.create == "never":
            return RepositoryMissing(f"{place} does not exist, or may not be read.").on(Side.DESTINATION)
        if not push:
            said = f"{place} does not exist, or may not be read: the push would make it, {target.visibility}."
            return contract.Notice("repository_created", said)
        repository.create(target.visibility)
    except ImagePusherError as error:
        return error.on(Side.DESTINATION)
    return None
