"""Advice to install something: only what nobody else can own (the name of this project is on no index)."""

import re
from pathlib import Path

import pytest

import tasks
import workers
from tasks import installed
from tasks.errors import SettingsInvalid

_ROOTS = [Path(package.__path__[0]) for package in (tasks, workers)]
_ADVICE = re.compile(r"pip install (?P<what>\S+)")


def test_no_source_advises_to_install_a_name_of_an_index() -> None:
    advised = [
        (str(path), found["what"])
        for root in _ROOTS
        for path in root.rglob("*.py")
        for found in _ADVICE.finditer(path.read_text())
    ]
    assert advised
    assert [each for each in advised if not re.match(r"'?\.[\[`'\s]", each[1])] == []


def test_code_that_is_not_installed_says_how_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "entry_points", lambda **_: [])
    with (
        pytest.raises(SettingsInvalid, match=r"`pip install \.` in the project's folder"),
        installed.open_client(None, None),
    ):
        pass
