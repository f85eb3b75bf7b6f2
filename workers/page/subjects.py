"""The subjects of actions: a push, or one tag."""

from http import HTTPStatus
from typing import Protocol
from urllib.parse import quote

from starlette.exceptions import HTTPException

from tasks.transfer.ports import PageLedger
from workers.page.actions import Action, Actions
from workers.page.confirmation import Consequence, consequences, held
from workers.page.details import Details, read_details
from workers.page.holds import HoldAction, Holds, tag_names
from workers.page.tag import TagDetails, read_tag


class Subject(Protocol):
    """A subject of actions; both methods raise HTTPException for an action that does nothing to it now."""

    name: str
    path: str

    def ask(self, action: Action) -> tuple[list[Consequence], str]:
        """Return the consequences of an action for each tag, and a note on their certainty."""
        ...

    def begin(self, action: Action, user: str, why: str) -> None:
        """Carry out an action, or begin it; `why` is the reason of a hold."""
        ...


class PushSubject:
    """A push; a hold is for all of its tags."""

    def __init__(self, push_id: str, ledger: PageLedger, actions: Actions, holds: Holds) -> None:
        self.name = push_id
        self.path = f"/pushes/{quote(push_id)}"
        self._ledger = ledger
        self._actions = actions
        self._holds = holds

    def ask(self, action: Action) -> tuple[list[Consequence], str]:
        return consequences(self._ledger, self._actions, self._read(action), action)

    def begin(self, action: Action, user: str, why: str) -> None:
        push = self._read(action)
        match action:
            case "hold" | "release-hold":
                self._holds.change(action, tag_names(push.items), user, why, push.push_id)
            case _:
                self._actions.begin(push.push_id, action, user)

    def _read(self, action: Action) -> Details:
        push = read_details(self._ledger, self.name)
        if action not in push.actions:
            raise HTTPException(HTTPStatus.CONFLICT, f"The push is {push.state}: {action} does nothing to it now.")
        return push


class TagSubject:
    """One tag, by its full name."""

    def __init__(self, reference: str, ledger: PageLedger, holds: Holds) -> None:
        self.name = reference
        self.path = f"/tags/{quote(reference)}"
        self._ledger = ledger
        self._holds = holds

    def ask(self, action: Action) -> tuple[list[Consequence], str]:
        tag, holding = self._read(action)
        return held([tag.reference], {} if tag.hold is None else {tag.reference: tag.hold}, holding)

    def begin(self, action: Action, user: str, why: str) -> None:
        tag, holding = self._read(action)
        self._holds.change(holding, [tag.reference], user, why)

    def _read(self, action: Action) -> tuple[TagDetails, HoldAction]:
        tag = read_tag(self._ledger, self.name)
        possible = next((each for each in tag.actions if each == action), None)
        if possible is None:
            state = "on hold" if tag.hold is not None else "not on hold"
            raise HTTPException(HTTPStatus.CONFLICT, f"The tag is {state}: {action} does nothing to it now.")
        return tag, possible
