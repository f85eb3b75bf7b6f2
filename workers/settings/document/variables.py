"""The variables of the environment that set a key of the settings."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from workers.settings.document.paths import expand, working_folder
from workers.settings.document.reading import nearest, reason_of
from workers.settings.document.tables import Document, LimitsTable

PREFIX: Final = "IMAGEPUSHER_"
# Variables of the command line, the logs and the scripts in deploy/ and tests/.
_OTHERS: Final = frozenset(PREFIX + name for name in ("CONFIG", "VENV", "SRC_CREDS", "DEST_CREDS", "LOG_LEVEL"))

# Every variable that sets a key of the document.
VARIABLES: Final[dict[str, tuple[str, str]]] = {
    f"{PREFIX}BROKER_URL": ("broker", "url"),
    f"{PREFIX}RESULT_URL": ("broker", "result_url"),
    f"{PREFIX}STATE_URL": ("broker", "state_url"),
    f"{PREFIX}SENTINEL_MASTER": ("broker", "sentinel_master"),
    f"{PREFIX}BROKER_CA_FILE": ("broker", "ca_file"),
    f"{PREFIX}BROKER_CLIENT_CERTIFICATE": ("broker", "client_certificate"),
    f"{PREFIX}BROKER_CLIENT_KEY": ("broker", "client_key"),
    f"{PREFIX}BROKER_KEY_FILE": ("broker", "key_file"),
    f"{PREFIX}PRODUCER": ("broker", "producer"),
    f"{PREFIX}AUTHFILE": ("", "auth_files"),
    f"{PREFIX}STATE_DIR": ("", "state_dir"),
    f"{PREFIX}LOG_FORMAT": ("logs", "format"),
    f"{PREFIX}METRICS_ADDRESS": ("metrics", "address"),
    f"{PREFIX}TRACING_ENDPOINT": ("tracing", "endpoint"),
    f"{PREFIX}HEARTBEAT_FILE": ("worker", "heartbeat_file"),
    f"{PREFIX}DROP_PASSWORDS": ("pubtools", "drop_passwords"),
    f"{PREFIX}PAGE_ADDRESS": ("page", "address"),
    f"{PREFIX}PAGE_LOGIN_FILE": ("page", "login_file"),
    f"{PREFIX}EVENTS_TASK": ("events", "task"),
    f"{PREFIX}EVENTS_QUEUE": ("events", "queue"),
    **{f"{PREFIX}{key.upper()}": ("limits", key) for key in LimitsTable.__struct_fields__},
}

_PATHS: Final = frozenset({"heartbeat_file", "login_file", "ca_file", "client_certificate", "client_key", "key_file"})


def overlay(document: dict[str, Any], environment: Mapping[str, str], faults: list[str]) -> None:
    """Override the document of the file with the environment; an empty variable is ignored."""
    types = {
        (table.name, field.name): field.type
        for table in msgspec.structs.fields(Document)
        if isinstance(table.type, type) and issubclass(table.type, msgspec.Struct)
        for field in msgspec.structs.fields(table.type)
    }
    for variable, (table, key) in VARIABLES.items():
        text = environment.get(variable)
        if not text:
            continue
        if not table:
            # In the file, a relative path starts at the file's folder; in a variable, at the working directory.
            path = str(working_folder() / expand(text))
            document[key] = [path] if key == "auth_files" else path
            continue
        if key in _PATHS:
            text = str(working_folder() / expand(text))
        section = document.setdefault(table, {})
        if isinstance(section, dict):
            kind = types[table, key]
            try:
                section[key] = msgspec.convert(text, kind, strict=False)
            except msgspec.ValidationError as error:
                # Every variable is a string: the fault names only the expected type.
                faults.append(f"{variable}: {reason_of(error, kind).removesuffix(', got `str`')}")


def check_variables(environment: Mapping[str, str], document: Document, faults: list[str]) -> None:
    """Add a fault for every unknown variable with our prefix."""
    known = VARIABLES.keys() | _OTHERS | document.secret_variables()
    faults.extend(
        f"{variable} is not a known variable{nearest(variable, known)}"
        for variable in sorted(environment)
        if variable.startswith(PREFIX) and variable not in known
    )
