"""Scopes of tokens: `repository:NAME:ACTION,…` (distribution-spec's token scope documentation, "Resource Scope")."""

from typing import Final

_LOOK_ONLY: Final = frozenset({"pull"})


def merge_scopes(wanted: frozenset[str], asked: str) -> frozenset[str]:
    """Return the scopes of a token request: those of the caller, and the actions that the challenge adds to them.

    `asked` is the challenge's `scope`, scopes split by spaces. The registry knows best which actions a request needs
    (`delete` is the usual surprise), so its further actions are added, but only to repositories that the caller named.
    A caller that wants only `pull` gets only `pull`: a plan or dry run only looks, and a token with `push` creates a
    missing repository at some registries.
    """
    actions = {repository: actions for repository, actions in map(_split, wanted) if repository}
    if all(set(own) <= _LOOK_ONLY for own in actions.values()):
        return wanted
    more = dict(map(_split, asked.split()))
    merged = {
        f"{repository}:{','.join([*own, *sorted(set(more.get(repository, ())) - set(own))])}"
        for repository, own in actions.items()
    }
    return frozenset(merged | {scope for scope in wanted if not _split(scope)[0]})


def _split(scope: str) -> tuple[str, tuple[str, ...]]:
    """Split a scope into `repository:NAME` and its actions; the name may hold colons. Other text gives ""."""
    name, _, actions = scope.rpartition(":")
    if not name.startswith("repository:"):
        return "", ()
    return name, tuple(action for action in actions.split(",") if action)
