"""The forms of a blob upload, and the next form after a refusal (BEHAVIOUR 5.6).

    form    requests                                          who wants it
    put     POST, PUT with Content-Length                     all that follow the specification: the fewest requests
    patch   POST, one streamed PATCH, empty PUT               Azure (a PUT above 20 MB is 413), Artifactory (404)
    parts   POST, PATCHes of at most `part_bytes`, empty PUT  a proxy with a limit. Only where a proxy says so: GHCR and
                                                              Artifactory keep the last one of several PATCHes

    step    answer                     meaning
    POST    202 with Location          a session; OCI-Chunk-Min-Length and OCI-Chunk-Max-Length bound its parts
    PATCH   200, 201, 202, 204         taken up to the Range of the answer, or all of it where there is none
    PUT     200, 201, 204              stored
    PUT     202                        stored later, or not at all: looked for
    PUT     404, 416                   the session is gone: a new one; said twice: the next form
    PUT     400, 405, 411, 415, 501    this form is not taken: the next one, in a new session
    PATCH   400, 404, 416              the session stands elsewhere: its status, or a new one; said twice: the next form
    PATCH   405, 411, 415, 501         this form is not taken
    both    413                        not so many bytes: the next form, or parts of half the size
    both    no answer, 502, 504, 520, 524   said twice of one offset: not so many bytes
    GET     200, 204 with Range        `0-LAST`; Quay says `bytes=0-COUNT`, and `bytes=0--1` of a session that it opens
    GET     anything else              the session is gone
    HEAD    200                        a commit whose answer was lost took effect

A refusal for another reason (quota, rights, maintenance) is no refusal of a form.
"""

import threading
from http import HTTPStatus
from typing import Final, Literal, Protocol

import msgspec

from tasks.registry.settings import UploadChoice

Form = Literal["put", "patch", "parts"]

# Amazon wants 5 to 10 MiB of each part but the last.
PART_BYTES: Final = 8 * 1024 * 1024
LEAST_PART_BYTES: Final = 64 * 1024
TOO_LARGE: Final = 413

_NEXT: Final[dict[Form, Form]] = {"put": "patch", "patch": "parts"}
_NOT_TAKEN: Final = frozenset({405, 411, 415, 501})
_GONE: Final = frozenset({400, 404, 416})
# After a PUT is refused by its size, only a PUT below this is tried: common limits are not lower.
_SURELY_TAKEN: Final = 1024 * 1024


class Refused(msgspec.Struct, frozen=True):
    """The refusals of a registry: a PUT of `put` bytes or more, a body above `part_bytes`; None for no refusal."""

    put: int | None = None
    part_bytes: int | None = None

    def form(self, size: int) -> Form:
        """Return the first form in which the registry takes `size` bytes."""
        if self.part_bytes is not None and size > self.part_bytes:
            return "parts"
        return "put" if self.put is None or size < self.put else "patch"

    def united(self, other: "Refused") -> "Refused":
        """Return the union of the refusals that two uploads met."""
        return Refused(_least(self.put, other.put), _least(self.part_bytes, other.part_bytes))


class UploadForms(Protocol):
    """The refusals of registries that all workers met; they expire."""

    def refused(self, registry: str) -> Refused:
        """Return the known refusals of a registry."""
        ...

    def note(self, registry: str, refused: Refused) -> None:
        """Add the refusals that a successful upload met."""
        ...


class LocalUploadForms:
    """The refusals of registries that this process met. Thread-safe."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._refused: dict[str, Refused] = {}

    def refused(self, registry: str) -> Refused:
        """Return the known refusals of a registry."""
        return self._refused.get(registry, Refused())

    def note(self, registry: str, refused: Refused) -> None:
        """Add the refusals that a successful upload met."""
        with self._guard:
            self._refused[registry] = self.refused(registry).united(refused)


class Way(msgspec.Struct, frozen=True):
    """The state of one upload of `size` bytes: its present form and the refusals so far; each step makes a new one.

    `fixed` means that the settings want this form: no other is tried. `doubted` means that one session was lost in this
    form; a second loss in a row means that the registry does not take the form.
    """

    size: int
    form: Form
    part_bytes: int = PART_BYTES
    least_bytes: int = LEAST_PART_BYTES
    fixed: bool = False
    doubted: bool = False
    refused: Refused = Refused()

    def part(self, offset: int) -> int:
        """Return the end of the body that starts at `offset`."""
        return min(self.size, offset + self.part_bytes) if self.form == "parts" else self.size

    def bounded(self, least: int | None, most: int | None) -> "Way":
        """Return the way within a registry's bounds for a part."""
        floor = max(least or 0, min(self.least_bytes, most or self.least_bytes))
        part_bytes = max(floor, min(self.part_bytes, most or self.part_bytes))
        split = most is not None and self.size > most and self.form == "patch" and not self.fixed
        return msgspec.structs.replace(
            self, form="parts" if split else self.form, part_bytes=part_bytes, least_bytes=floor
        )

    def after(self, status: int, sent: int) -> "Way | None":
        """Return the way after a refusal of a body of `sent` bytes, None if no form is left to try."""
        if status == TOO_LARGE:
            return self._next(min(sent, _SURELY_TAKEN), self.part_bytes) if self.form == "put" else self._halve(sent)
        if status in _GONE and not self.doubted and not (status == HTTPStatus.BAD_REQUEST and self.form == "put"):
            return msgspec.structs.replace(self, doubted=True)
        return self._next(0, self.part_bytes) if status in _GONE | _NOT_TAKEN else None

    def after_drops(self, sent: int) -> "Way | None":
        """Return the way after bodies of `sent` bytes got no answer, None if no form is left to try.

        A limit of the size may be the cause, so the registry still gets a smaller PUT.
        """
        return self._next(sent, self.part_bytes) if self.form == "put" else self._halve(sent)

    def went_well(self) -> "Way":
        """Return the way after a body was taken."""
        return msgspec.structs.replace(self, doubted=False)

    def _halve(self, sent: int) -> "Way | None":
        """Return the way with parts half as large as the refused body."""
        part_bytes = min(self.part_bytes, sent // 2)
        if part_bytes < self.least_bytes:
            return None
        if self.form == "patch":
            return self._next(None, part_bytes)
        return msgspec.structs.replace(
            self, part_bytes=part_bytes, refused=self.refused.united(Refused(part_bytes=part_bytes))
        )

    def _next(self, put: int | None, part_bytes: int) -> "Way | None":
        """Return the way with the next form; `put` is the size from which a PUT was refused, if it was."""
        form = None if self.fixed else _NEXT.get(self.form)
        if form is None:
            return None
        found = self.refused.united(Refused(put) if form == "patch" else Refused(part_bytes=part_bytes))
        return msgspec.structs.replace(self, form=form, part_bytes=part_bytes, doubted=False, refused=found)


def first_way(size: int, choice: UploadChoice, part_bytes: int | None, known: Refused) -> Way:
    """Return the first way of an upload: that of the settings, else the first form not known to be refused."""
    most = _least(part_bytes, known.part_bytes) or PART_BYTES
    form = known.form(size) if choice == "auto" else choice
    return Way(size, form, most, min(LEAST_PART_BYTES, most), fixed=choice != "auto")


def _least(first: int | None, second: int | None) -> int | None:
    return min((each for each in (first, second) if each is not None), default=None)
