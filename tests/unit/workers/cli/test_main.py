"""How every error of a command ends: in one message, one exit code, and never in a traceback."""

import json

import click
import pytest
from click.testing import CliRunner, Result

from tasks.errors import AuthenticationRefused, RequestInvalid
from workers.cli.main import Commands
from workers.cli.output import output_option


def ended(error: BaseException, *arguments: str) -> Result:
    """Run a command that raises `error`."""

    @click.group(cls=Commands)
    def program() -> None: ...

    @program.command()
    @output_option
    def fail() -> None:
        raise error

    return CliRunner().invoke(program, ["fail", *arguments])


@pytest.mark.parametrize(
    ("error", "code", "name", "told"),
    [
        (ValueError("no such thing"), 3, "internal_error", "Error [internal_error]: ValueError: no such thing"),
        (KeyError(), 3, "internal_error", "Error [internal_error]: KeyError"),
        (AuthenticationRefused("a.example answered 401."), 4, "authentication_refused", "a.example answered 401."),
        (RequestInvalid("It is empty."), 2, "request_invalid", "It is empty. Nothing was written."),
        (click.UsageError("Give one."), 2, "usage", "Error: Give one."),
        (KeyboardInterrupt(), 130, "interrupted", "Interrupted."),
        (click.Abort(), 130, "interrupted", "Interrupted."),
    ],
)
def test_an_error_is_one_message_and_one_code(error: BaseException, code: int, name: str, told: str) -> None:
    for arguments in ((), ("--output", "json")):
        result = ended(error, *arguments)
        assert (result.exit_code, told in result.stderr) == (code, True)
        assert "Traceback" not in result.stderr
        if arguments:
            assert json.loads(result.stdout)["error"]["code"] == name
        else:
            assert result.stdout == ""


def test_an_error_of_a_library_shows_no_password_of_a_url() -> None:
    """Rule 6.7."""
    said = "cannot reach redis://me:geheim@broker.example/0 with password=geheim"
    result = ended(ConnectionError(said), "-o", "json")
    assert "redis://broker.example/0" in result.stderr
    assert "geheim" not in result.output
