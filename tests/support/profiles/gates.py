"""Requests that wait until a test lets them go on, and answers that a test puts in place of real ones."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from tests.support.scripted import Answer, NoAnswer

When = Literal["before", "after"]


@dataclass(frozen=True)
class _Which:
    method: str
    path: re.Pattern[str]
    when: When

    def names(self, method: str, path: str, when: When) -> bool:
        return method == self.method and when == self.when and self.path.search(path) is not None


class Gate:
    """Hold requests; `wait` returns when so many have come, `open` lets all of them and all later ones through."""

    def __init__(self, which: _Which) -> None:
        self.which = which
        self._arrived = 0
        self._changed = threading.Condition()
        self._opened = threading.Event()

    @property
    def arrived(self) -> int:
        """Return how many requests have come."""
        with self._changed:
            return self._arrived

    def wait(self, arrivals: int = 1, seconds: float = 60) -> None:
        """Wait for requests; raises AssertionError if they do not come."""
        with self._changed:
            came = self._changed.wait_for(lambda: self._arrived >= arrivals, seconds)
        assert came, f"{self._arrived} of {arrivals} requests came: {self.which.method} {self.which.path.pattern}"

    def open(self) -> None:
        self._opened.set()

    def pass_through(self) -> None:
        with self._changed:
            self._arrived += 1
            self._changed.notify_all()
        self._opened.wait()


@dataclass
class _Injection:
    which: _Which
    replies: list[Answer | NoAnswer] = field(default_factory=list)


class Gates:
    """The gates and injected answers of one registry."""

    def __init__(self) -> None:
        self._gates: list[Gate] = []
        self._injections: list[_Injection] = []
        self._guard = threading.Lock()

    @contextmanager
    def hold(self, method: str, path: str, when: When = "before") -> Iterator[Gate]:
        """Hold requests whose path holds a match of a regular expression, before or after they take effect."""
        gate = Gate(_Which(method, re.compile(path), when))
        with self._guard:
            self._gates.append(gate)
        try:
            yield gate
        finally:
            gate.open()
            with self._guard:
                self._gates.remove(gate)

    def inject(self, method: str, path: str, *replies: Answer | NoAnswer, when: When = "before") -> None:
        """Answer the next matching requests with these; `after` means that each takes effect all the same."""
        with self._guard:
            self._injections.append(_Injection(_Which(method, re.compile(path), when), list(replies)))

    def clear(self) -> None:
        """Drop the injected answers that are left."""
        with self._guard:
            self._injections.clear()

    def pass_through(self, method: str, path: str, when: When) -> Answer | NoAnswer | None:
        """Wait at the gates of a request; return the answer that replaces its own."""
        with self._guard:
            gates = [gate for gate in self._gates if gate.which.names(method, path, when)]
        for gate in gates:
            gate.pass_through()
        with self._guard:
            for each in self._injections:
                if each.replies and each.which.names(method, path, when):
                    return each.replies.pop(0)
        return None

    def open(self) -> None:
        """Let everything go on."""
        with self._guard:
            for gate in self._gates:
                gate.open()
