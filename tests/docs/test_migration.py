"""The guides for those who come from other tools name each option of these tools, and counterparts that exist."""

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import click
import pytest

from tasks import contract
from tests.docs.readme import ROOT, Document, document
from tests.docs.test_configuration import settings_of
from tests.docs.test_words import names, spans
from workers.cli.main import imagepusher
from workers.cli.skopeo import INSTEAD
from workers.settings.document import Document as Settings

_SKOPEO: Final = document("deploy/examples/migrate-from-skopeo.md")
_REGSYNC: Final = document("deploy/examples/migrate-from-regsync.md")
_QUAY: Final = document("deploy/examples/migrate-from-pubtools-quay.md")
_GUIDES: Final = (_SKOPEO, _REGSYNC, _QUAY)
_COMMANDS: Final = "Options before the command", "Options of skopeo copy", "Options of skopeo sync"
_KEY: Final = re.compile(
    r"(?:items\[\]|targets\.NAME|registries\.HOST|limits|http|logs|pubtools)\.\w+|auth_files|atomic"
)


def named(guide: Document, section: str, place: int = 0) -> list[str]:
    """Return what the first cells of a section name; the tables of a section are told apart by the caller."""
    return [span for row in guide.rows(section) for span in spans(row[place])]


def listed(file: str) -> list[str]:
    """Return the names in a list of `tests/data/options`."""
    first, *lines = (ROOT / "tests" / "data" / "options" / file).read_text().splitlines()
    assert first.startswith("# ")
    return lines


@cache
def options_of(*command: str) -> frozenset[str]:
    """Return the options in the help of the skopeo that is installed."""
    text = subprocess.run(["skopeo", *command, "--help"], capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^ +(?:(-\w), |    )(--[\w.-]+)", text, re.MULTILINE)
    options = frozenset(option for pair in found for option in pair if option)
    assert len(options) > 8
    return options


def rows(section: str) -> set[str]:
    found = named(_SKOPEO, section)
    assert len(found) == len(set(found)), "an option is there twice"
    return set(found)


def newer(command: str = "") -> set[str]:
    """Return the options of a command of a newer skopeo, by its manual pages."""
    pairs = [line.rpartition(" ") for line in listed("skopeo-1.22.2.txt")]
    return {option for name, _, option in pairs if name == command}


def test_every_option_of_skopeo_is_named() -> None:
    before, copy, sync = map(rows, _COMMANDS)
    assert options_of() | newer() <= before
    assert options_of("copy") | newer("copy") <= copy
    assert options_of("sync") | newer("sync") <= copy | sync


def test_no_other_option_is_said_to_be_one_of_skopeo() -> None:
    before, copy, sync = map(rows, _COMMANDS)
    # The program explains more: options of versions that are not listed.
    assert before | copy <= options_of() | options_of("copy") | newer() | newer("copy") | INSTEAD.keys()
    assert INSTEAD.keys() <= before | copy
    assert sync <= options_of("sync") | newer("sync")


@pytest.mark.parametrize("row", [row for section in _COMMANDS[:2] for row in _SKOPEO.rows(section)], ids=str)
def test_an_option_that_is_said_to_be_the_same_is_taken_and_no_other_is(row: list[str]) -> None:
    command = imagepusher.commands["copy"]
    ours = {option for each in command.params if isinstance(each, click.Option) for option in each.opts}
    for option in set(spans(row[0])) - {"--version", "-v"}:
        is_taken = option in ours | {"--help", "-h"}
        assert is_taken == (row[1] == "the same"), option
        assert is_taken != (option in INSTEAD), option


def test_every_option_of_skopeo_sync_that_is_the_same_is_taken() -> None:
    same = [option for row in _SKOPEO.rows(_COMMANDS[2]) if row[1] == "the same" for option in spans(row[0])]
    ours = {option for each in imagepusher.commands["push"].params for option in each.opts}
    assert same
    assert set(same) <= ours


def test_every_key_of_the_file_of_skopeo_sync_is_named() -> None:
    """By skopeo-sync(1), version 1.9."""
    keys = {"images", "images-by-tag-regex", "images-by-semver", "credentials", "tls-verify", "cert-dir"}
    assert rows("The file of skopeo sync") == keys


def test_every_key_and_option_of_regsync_is_named_and_no_other_is() -> None:
    lines = listed("regsync-0.11.5.txt")
    options = {line for line in lines if line.startswith("-")}
    keys = {tuple(line.split()) for line in lines} - {(option,) for option in options}
    commands = named(_REGSYNC, "Commands")
    assert {name for name in commands if name.startswith("-")} == options
    tables = [set(spans(row[0])) for row in _REGSYNC.rows("The file")]
    at_top = {key for (key,) in (key for key in keys if len(key) == 1)}
    inner = {key for _, key in (key for key in keys if len(key) == 2)}
    assert set().union(*tables) == at_top | inner
    named_twice = [key for table in tables for key in table]
    assert len(named_twice) == len(set(named_twice))


def test_every_target_setting_of_pubtools_quay_is_named() -> None:
    settings = {line for line in listed("pubtools-quay-0.36.0.txt") if " " not in line}
    assert settings <= set(named(_QUAY, "Target settings"))


def test_every_command_of_pubtools_quay_is_named_with_its_options() -> None:
    pairs = [line.split() for line in listed("pubtools-quay-0.36.0.txt") if " " in line]
    commands = {command for command, _ in pairs}
    assert {name.split()[0] for name in named(_QUAY, "Commands")} == commands
    for command in commands:
        options = {option for name, option in pairs if name == command}
        if f"Options of {command}" in _QUAY.headings:
            assert set(named(_QUAY, f"Options of {command}")) == options
        else:
            (row,) = [row for row in _QUAY.rows("Commands") if row[0] == f"`{command}`"]
            assert row[1].startswith("no counterpart")


def counterparts() -> Iterator[tuple[Path, str]]:
    """Yield each code span of the last column of each table."""
    for guide in _GUIDES:
        for section in guide.headings:
            for row in guide.rows(section):
                yield from ((guide.path, span) for span in spans(row[-1]))


def test_every_counterpart_exists() -> None:
    options = {
        option
        for command in [imagepusher, *imagepusher.commands.values()]
        for each in command.params
        for option in (*each.opts, *each.secondary_opts)
    }
    keys = {f"items[].{name}" for name in names(contract.PushItem)} | names(contract.PushRequest)
    keys |= {key for key, _ in settings_of(Settings)}
    looked_at = 0
    for path, span in counterparts():
        if span.startswith("-"):
            assert span.split()[0] in options, f"{path.name}: {span}"
        elif _KEY.fullmatch(span):
            assert span in keys, f"{path.name}: {span}"
        else:
            continue
        looked_at += 1
    assert looked_at > 60
