"""The command-line options for access to registries: credentials, TLS, authentication files."""

import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeVar

import click

from workers.cli.output import is_terminal

if TYPE_CHECKING:
    from tasks.registry.settings import Credentials, RegistryOverride, Role

STDIN: Final = "-"
Command = TypeVar("Command", bound=Callable[..., Any])
_PREFIXES: Final[Mapping["Role", str]] = {"source": "src", "destination": "dest"}
_FLAGS: Final = {
    f"{prefix}_{name}" for prefix in _PREFIXES.values() for name in ("creds", "tls_verify", "cert_dir")
} | {"authfile"}
# Words that cannot be meant as a name.
_BOOLEANS: Final = frozenset({"true", "false", "yes", "no", "on", "off"})
_TLS_FLAGS: Final = frozenset(f"--{prefix}-tls-verify" for prefix in _PREFIXES.values())


class RegistryCommand(click.Command):
    """A command for users of skopeo: for each missing skopeo flag, the error names the replacement.

    `--src-tls-verify` without a value means true and never takes the next argument.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        self._refuse_values(ctx, args)
        try:
            return super().parse_args(ctx, [f"{arg}=true" if arg in _TLS_FLAGS else arg for arg in args])
        except click.NoSuchOption as error:
            from workers.cli.skopeo import explained

            raise explained(error) from None

    def _refuse_values(self, ctx: click.Context, args: list[str]) -> None:
        """Raise click's UsageError if a word can only be meant as the value of the flag before it."""
        # Without a target, a word that names no registry is neither a source nor a destination.
        names_no_image = self.name == "copy" and not any(arg.startswith("--target") for arg in args)
        for flag, word in pairwise(args):
            named = "/" in word or word.startswith("-") or not names_no_image
            if flag in _TLS_FLAGS and (word.lower() in _BOOLEANS or not named):
                told = f"{flag} alone means true; write {flag}=true or {flag}=false where you have {word!r} after it."
                raise click.UsageError(told, ctx)


def with_usual_value(args: Sequence[str], flag: str, values: Sequence[str]) -> list[str]:
    """Return the arguments with the first of `values` after a flag that none of them follows.

    click gives an option whose value may be left out the next argument, whatever it is.
    """
    return [
        f"{arg}={values[0]}" if arg == flag and after not in values else arg
        for arg, after in zip_longest(args, args[1:])
    ]


def registry_options(*roles: "Role") -> Callable[[Command], Command]:
    """Add the options for access to the registries of these roles."""

    def add(command: Command) -> Command:
        options = [
            click.option(
                "--authfile",
                type=click.Path(exists=True, dir_okay=False),
                help="A docker or podman authentication file.",
            )
        ]
        for role in roles:
            prefix = _PREFIXES[role]
            options += [
                click.option(
                    f"--{prefix}-creds",
                    metavar="USER[:PASSWORD]",
                    envvar=f"IMAGEPUSHER_{prefix.upper()}_CREDS",
                    show_envvar=True,
                    help=f"Credentials of the {role}; - reads them from stdin, a user alone asks for the password.",
                ),
                click.option(
                    f"--{prefix}-tls-verify", type=bool, metavar="BOOL", help=f"Verify the TLS of the {role}."
                ),
                click.option(
                    f"--{prefix}-cert-dir",
                    type=click.Path(exists=True, file_okay=False),
                    help=f"A folder with *.crt, *.cert and *.key for the {role}.",
                ),
            ]
        for option in reversed(options):
            command = option(command)
        return command

    return add


def given_flags(parameters: Mapping[str, Any]) -> list[str]:
    """Return the options of this module that the command line or the environment sets."""
    return [f"--{name.replace('_', '-')}" for name in sorted(_FLAGS) if parameters.get(name) is not None]


def refuse_stdin(parameters: Mapping[str, Any]) -> None:
    """Raise click's UsageError if credentials would come from stdin, which the request is read from."""
    if any(parameters.get(f"{prefix}_creds") == STDIN for prefix in _PREFIXES.values()):
        raise click.UsageError("The request and credentials cannot both come from stdin.")


def read_overrides(parameters: Mapping[str, Any]) -> "dict[Role, RegistryOverride]":
    """Return the overrides of the command line for each role; raises click's UsageError."""
    # Help and completion read no option, and need none of its types.
    from tasks.registry.settings import RegistryOverride

    return {
        role: RegistryOverride(
            credentials=_read_credentials(role, parameters.get(f"{prefix}_creds")),
            tls_verify=parameters.get(f"{prefix}_tls_verify"),
            certificates=parameters.get(f"{prefix}_cert_dir"),
        )
        for role, prefix in _PREFIXES.items()
    }


def _read_credentials(role: "Role", text: str | None) -> "Credentials | None":
    if text is None:
        return None
    from tasks.registry.settings import Credentials

    interactive = is_terminal(sys.stdin)
    if text == STDIN:
        text = _ask(f"Credentials of the {role} (USER:PASSWORD)") if interactive else _read_line()
    user, colon, password = text.partition(":")
    if user and not colon and interactive:
        password = _ask(f"Password of {user} at the {role}")
    if not user or not password:
        raise click.UsageError(
            f"The credentials of the {role} lack a {'password' if user else 'user'}: write USER:PASSWORD."
        )
    return Credentials(user, password)


def _read_line() -> str:
    stream: TextIO | None = sys.stdin
    return "" if stream is None else stream.readline().rstrip("\r\n")


def _ask(prompt: str) -> str:
    answer: str = click.prompt(prompt, hide_input=True, err=True)
    return answer
