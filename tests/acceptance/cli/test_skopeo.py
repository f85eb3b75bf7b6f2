"""Every option of skopeo, by its own list, is taken, or refused with the words to write instead."""

import re
import subprocess

import click
import pytest

from workers.cli.main import imagepusher

IMAGES = ["docker://a.example/a:1", "docker://b.example/b:1"]


def options(*command: str) -> list[str]:
    """Return the options in skopeo's help, with a value where they want one."""
    text = subprocess.run(["skopeo", *command, "--help"], capture_output=True, text=True, check=True).stdout
    found = []
    for short, name, kind in re.findall(r"^ +(?:(-\w), |    )(--[\w.-]+)(?: (\S+))?  ", text, re.MULTILINE):
        found += [f"{name}=1" if kind else name]
        found += [short] if short else []
    assert len(found) > 8
    return found


def outcome(arguments: list[str]) -> str:
    """Return the words with which the program refuses a command line, "" if it takes it."""
    try:
        outer = imagepusher.make_context("imagepusher", list(arguments))
        name, command, rest = imagepusher.resolve_command(outer, [*outer._protected_args, *outer.args])
        assert command is not None
        command.make_context(name, rest, parent=outer)
    except click.exceptions.Exit:
        return ""
    except click.UsageError as error:
        return error.format_message()
    return ""


@pytest.mark.parametrize("option", options("copy"))
def test_an_option_of_skopeo_copy_is_taken_or_explained(option: str) -> None:
    taken = outcome(["copy", option, *IMAGES])
    if option.startswith(("--dest-cert-dir", "--src-cert-dir", "--authfile")):
        assert "does not exist" in taken, "the option is taken, and its value is looked at"
    elif option in {"-q", "--quiet", "-h", "--help", "--dest-tls-verify", "--src-tls-verify"} or "creds=" in option:
        assert taken == ""
    else:
        assert re.match(rf"There is no {re.escape(option.partition('=')[0])} here: .{{10}}", taken), taken


@pytest.mark.parametrize("option", options())
def test_an_option_before_the_command_is_taken_or_explained(option: str) -> None:
    taken = outcome([option, "copy", *IMAGES])
    if option in {"-h", "--help", "-v", "--version", "--debug"}:
        assert taken == ""
    else:
        assert re.match(rf"There is no {re.escape(option.partition('=')[0])} here: .{{10}}", taken), taken


def test_an_option_that_nobody_has_is_not_explained() -> None:
    assert outcome(["copy", "--frobnicate", *IMAGES]).startswith("No such option")
