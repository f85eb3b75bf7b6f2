"""The permissions of producers: rules of the settings, by pattern. Pure.

A pattern is a shell pattern (`fnmatch`) for `HOST/REPOSITORY:TAG` or `HOST/REPOSITORY@DIGEST`, case-sensitive; `*`
stands for any text, slashes included. Rules only permit: an action that no rule permits is refused. Without any rule,
everything is permitted. Workers and operators, who have the workers' key, are no producers: no rule applies to them.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final, Literal

import msgspec

from tasks.errors import NotPermitted
from tasks.oci.reference import Reference
from tasks.transfer.request.valid import ValidRequest

Action = Literal["push", "undo", "retry", "hold", "cancel"]
ANYTHING: Final = ("*",)
# The sender name of workers, and of operators who have the workers' key; no producer has this name.
WORKERS: Final = "workers"


class Rule(msgspec.Struct, frozen=True):
    """One rule: the permitted producers (None: all), actions, sources and destinations."""

    name: str
    producers: frozenset[str] | None = None
    sources: tuple[str, ...] = ANYTHING
    destinations: tuple[str, ...] = ANYTHING
    actions: frozenset[Action] = frozenset({"push"})

    def is_for(self, producer: str | None) -> bool:
        """Tell whether the rule applies to this producer."""
        return self.producers is None or producer in self.producers

    def objection(self, action: Action, source: str | None, destination: str) -> str | None:
        """Return the part of the rule that forbids the action, None if no part does; a source of None fits any rule."""
        if action not in self.actions:
            return "actions"
        if source is not None and not _fits(source, self.sources):
            return "sources"
        return None if _fits(destination, self.destinations) else "destinations"


class Policy(msgspec.Struct, frozen=True):
    """All rules; without any, everything is permitted."""

    rules: tuple[Rule, ...] = ()

    def binds(self, producer: str | None) -> bool:
        """Tell whether any rule is needed for what the producer does."""
        return bool(self.rules) and producer != WORKERS

    def check_push(self, producer: str | None, action: Action, request: ValidRequest) -> None:
        """Raise NotPermitted unless the producer may push each image of a request to each of its destinations."""
        for item in request.items:
            self.check(producer, action, item.source, item.destinations)

    def check(
        self, producer: str | None, action: Action, source: Reference | None, destinations: Iterable[Reference | str]
    ) -> None:
        """Raise NotPermitted unless the producer may do the action at each destination."""
        if not self.binds(producer):
            return
        for destination in destinations:
            self._check_one(producer, action, None if source is None else str(source), str(destination))

    def _check_one(self, producer: str | None, action: Action, source: str | None, destination: str) -> None:
        objections = {
            rule.name: rule.objection(action, source, destination) for rule in self.rules if rule.is_for(producer)
        }
        if None in objections.values():
            return
        who = "Who does not sign" if producer is None else f"The producer {producer!r}"
        whence = "" if source is None else f" of {source}"
        why = "; ".join(f"[policy.{name}] does not, by its {part}" for name, part in objections.items())
        raise NotPermitted(f"{who} may not {action}{whence} to {destination}: {why or 'no rule is for it'}.")


def _fits(text: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)
