"""Every command in the guides exists as it is written, and every command and option of the program is named."""

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import click
import pytest
import yaml

from tests.docs.readme import ROOT, Block, Prose, guides, using
from tests.docs.test_producers import FLOWER
from tests.docs.test_tour import SECTION as TOUR
from workers.cli import exit_codes as codes
from workers.cli.main import imagepusher

# Their blocks are run as they are.
_RUN: Final = (TOUR, FLOWER)
_FILES: Final = ("FILE", "request.json", "request.yaml")


def _commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each command of a script without control structures; assignments before it are words."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words:
            yield words


def _program(words: list[str]) -> tuple[str, list[str]]:
    """Return the program of a command and its arguments, assignments left out."""
    while words and re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    return (words[0], words[1:]) if words else ("", [])


def _parse(arguments: list[str]) -> click.Context:
    """Let the program read its arguments, and do nothing; raises click's UsageError."""
    outer = imagepusher.make_context("imagepusher", list(arguments))
    name, command, rest = imagepusher.resolve_command(outer, [*outer._protected_args, *outer.args])
    assert command is not None
    return command.make_context(name, rest, parent=outer)


def _runs_imagepusher(arguments: list[str]) -> None:
    if len(arguments) == 1:
        # Its mere name, in a sentence, or an option of the program itself.
        assert arguments[0] in {*imagepusher.commands, "--version"}
        return
    _parse(arguments)


def _runs_docker(arguments: list[str]) -> None:
    kind, *rest = arguments
    if kind == "compose":
        _composes(rest)
    elif kind == "build":
        assert rest[0] == "-f"
        assert (ROOT / rest[1]).is_file()
    else:
        assert kind == "push"


def _composes(arguments: list[str]) -> None:
    option, path, verb, *rest = arguments
    assert option == "-f"
    services = yaml.safe_load((ROOT / path).read_text())["services"]
    named = [word.partition("=")[0] for word in rest if re.fullmatch(r"[a-z-]+=\d+", word)]
    if verb == "exec":
        named.append(rest[0])
        assert rest[1] == "imagepusher"
        _parse(rest[2:])
    assert set(named) <= services.keys()


def _copies(arguments: list[str]) -> None:
    *sources, _ = [argument for argument in arguments if not argument.startswith("-")]
    # What begins with / was made by a command before.
    assert all((ROOT / source).exists() for source in sources if not source.startswith("/"))


def _starts_units(arguments: list[str]) -> None:
    units = [re.sub(r"@\w+$", "@", argument) for argument in arguments[1:] if not argument.startswith("-")]
    assert units
    for unit in units:
        name = unit if "." in unit else f"{unit}.service"
        assert name == "redis-server.service" or (ROOT / "deploy" / "systemd" / name).is_file(), name


def _applies(arguments: list[str]) -> None:
    assert arguments[:2] == ["apply", "-k"]
    assert (ROOT / arguments[2] / "kustomization.yaml").is_file()


def _makes_an_environment(arguments: list[str]) -> None:
    assert arguments[:2] == ["-m", "venv"]


def _selects_tests(arguments: list[str]) -> None:
    """Look at the paths alone: what is collected below them takes long."""
    assert arguments[:2] == ["-m", "pytest"]
    paths = [argument for argument in arguments if argument.startswith("tests/")]
    assert paths
    assert all((ROOT / path).exists() for path in paths)


def _is_a_worker_of_somebody(arguments: list[str]) -> None:
    """Be content with the form: tests/deploy/test_redis.py runs it."""
    assert arguments[:3] == ["-A", "signer", "worker"]


def _is_there(_: list[str]) -> None:
    """Be content with a program of this checkout that can be run: tests of its own run it."""


_KNOWN: Final[dict[str, Callable[[list[str]], None]]] = {
    "imagepusher": _runs_imagepusher,
    "celery": _is_a_worker_of_somebody,
    "docker": _runs_docker,
    "cp": _copies,
    "install": _copies,
    # What it adds to a file of the host is run by tests/deploy/test_systemd.py.
    "printf": _is_there,
    "kubectl": _applies,
    "systemctl": _starts_units,
    "python3": _makes_an_environment,
    "python": _selects_tests,
    ".": _is_there,
    "export": _is_there,
    "": _is_there,
}


def _check(words: list[str]) -> None:
    program, arguments = _program(words)
    if program.startswith("/"):
        program = Path(program).name
    if "/" in program:
        assert (ROOT / program).stat().st_mode & 0o111, f"{program} cannot be run"
        return
    assert program in _KNOWN, f"nothing checks {program}"
    _KNOWN[program](arguments)


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a folder that has the files of the examples."""
    for name in _FILES:
        (tmp_path / name).write_text("{}")
    monkeypatch.chdir(tmp_path)


def _written() -> Iterator[tuple[Block | Prose, list[str]]]:
    for guide in guides():
        for block in guide.of("bash"):
            if block.section not in _RUN:
                for words in _commands(block.text):
                    yield block, words
        for span, line in guide.spans():
            # Three dots stand for what a reader knows: `imagepusher copy … B` is no command.
            if span.startswith("imagepusher ") and "…" not in span:
                yield line, shlex.split(span)


@pytest.mark.parametrize(("place", "words"), list(_written()), ids=lambda value: str(value).replace(" ", "_")[:60])
def test_every_command_can_be_given_as_it_is_written(place: Block | Prose, words: list[str]) -> None:
    try:
        _check(words)
    except (click.UsageError, ValueError, AssertionError) as error:
        raise AssertionError(f"{place}: {shlex.join(words)}: {error}") from error


def test_blocks_are_in_languages_that_something_checks() -> None:
    languages = {"bash", "json", "mermaid", "python", "text", "toml", "yaml"}
    assert {block.language for guide in guides() for block in guide.blocks} == languages
    for language in ("text", "yaml"):
        assert {block.section for guide in guides() for block in guide.of(language)} == {TOUR}


def test_every_command_of_the_program_is_in_the_table_and_no_other_is() -> None:
    rows = using().rows("The command line")
    named = {shlex.split(row[0].strip("`"))[1] for row in rows if row[0].startswith("`imagepusher ")}
    assert named == imagepusher.commands.keys()


def _options(command: click.Command) -> set[str]:
    return {
        option
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in (*parameter.opts, *parameter.secondary_opts)
    } - {"--version"}


def test_every_option_is_in_the_table_and_no_other_is() -> None:
    rows = [row for row in using().rows("The command line") if len(row) == 3]
    named = {option.split()[0] for row in rows for option in re.findall(r"`(-[^`]+)`", row[0])}
    assert named == _options(imagepusher).union(*map(_options, imagepusher.commands.values()))


@pytest.mark.parametrize(
    "row", [row for row in using().rows("The command line") if len(row) == 3], ids=lambda row: row[0]
)
def test_options_belong_to_the_commands_beside_them(row: list[str]) -> None:
    options = {option.split()[0] for option in re.findall(r"`(-[^`]+)`", row[0])}
    named = re.findall(r"`([a-z]+)`", row[1])
    commands = [imagepusher.commands[name] for name in named]
    if row[1].startswith("all but"):
        assert not any(options & _options(command) for command in commands)
        commands = [command for name, command in imagepusher.commands.items() if name not in named]
        assert all(options <= _options(command) for command in commands)
    elif not row[1].startswith(("all", "the same")):
        assert all(options & _options(command) for command in commands)


def test_the_exit_codes_are_those_of_the_program() -> None:
    rows = [row for row in using().rows("The command line") if row[0].isdigit()]
    ours = {value for name, value in vars(codes).items() if name.isupper() and isinstance(value, int)}
    assert {int(row[0]) for row in rows} == ours
