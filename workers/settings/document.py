"""The settings file and environment, parsed strictly: an unknown key, variable or type is a fault."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta

from tasks.celery_glue.admission import MESSAGE_BYTES
from tasks.contract import ForwardOnly, PlatformRemoval
from tasks.oci.signatures import IndexSignature
from tasks.registry.settings import Api, HttpLimits, Login, Proxy, RegistrySettings, UploadChoice
from tasks.registry.upload_forms import LEAST_PART_BYTES
from tasks.transfer.request.policy import Action
from tasks.transfer.request.target import Create, MissingChildren, Naming, Target, Visibility

_YEAR: Final = 365 * 86_400
_HTTP: Final = HttpLimits()
_REGISTRY: Final = RegistrySettings()

# No path, URL or password may hold a null byte: for such a path, calls do not raise OSError but another error.
_NO_NULL: Final = r"\A[^\0]*\Z"
Text = Annotated[str, Meta(min_length=1, pattern=_NO_NULL)]
Variable = Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]
Count = Annotated[int, Meta(ge=1)]
# The upper bound excludes `inf`, which TOML allows.
Seconds = Annotated[float, Meta(gt=0, le=_YEAR)]
SecondsOrNone = Annotated[float, Meta(ge=0, le=_YEAR)]
WholeSeconds = Annotated[int, Meta(ge=1, le=_YEAR)]

LABEL_VALUES: Final = 50

LogFormat = Literal["auto", "json", "console"]

PREFIX: Final = "IMAGEPUSHER_"
# Variables of the command line, the logs and the scripts in deploy/ and tests/.
_OTHERS: Final = frozenset(PREFIX + name for name in ("CONFIG", "VENV", "SRC_CREDS", "DEST_CREDS", "LOG_LEVEL"))


class BrokerTable(msgspec.Struct, frozen=True):
    """The URLs of messages, results and state, with TLS authorities and client certificate."""

    url: Text | None = None
    result_url: Text | None = None
    state_url: Text | None = None
    sentinel_master: Text | None = None
    ca_file: Text | None = None
    client_certificate: Text | None = None
    client_key: Text | None = None
    key: Text | None = None
    key_file: Text | None = None
    producer: Text | None = None


class ProducerTable(msgspec.Struct, frozen=True):
    """A producer of pushes, identified by a key."""

    key: Text | None = None
    key_file: Text | None = None


class PolicyTable(msgspec.Struct, frozen=True):
    """A rule: the permissions of these producers, or of all if none is named."""

    producers: list[Text] = []
    sources: list[Text] = msgspec.field(default_factory=lambda: ["*"])
    destinations: list[Text] = msgspec.field(default_factory=lambda: ["*"])
    actions: list[Action] = msgspec.field(default_factory=lambda: ["push"])


class LimitsTable(msgspec.Struct, frozen=True):
    """Limits of one process and its work.

    `jobs` is the number of concurrent transfers and tasks, `task_tries` the number of deliveries of a task.
    `maintenance_seconds` is the wait for a registry under maintenance, `copy_seconds` the deadline of one copy. After
    `visibility_seconds`, a broker on Redis delivers unacknowledged messages again. The lock of a tag is leased for
    `lock_seconds`; `lock_wait_seconds` is the wait for it. `grace_seconds` is the time for a warm shutdown. The ledger
    keeps a push for `ledger_seconds`, and the moves of a tag for `history_seconds` (default: `ledger_seconds`). The
    watchdog resumes a push without progress for `stall_seconds`. `outage_seconds` is the wait for a Redis that does not
    answer. A message of more than `message_bytes` is refused. A source that sends next to nothing keeps at most
    `registry_share` of a worker's places.
    """

    jobs: Count = 8
    task_tries: Count = 4
    maintenance_seconds: Seconds = 4 * 3600
    copy_seconds: Seconds = 6 * 3600
    visibility_seconds: WholeSeconds = 8 * 3600
    lock_seconds: Seconds = 15
    lock_wait_seconds: SecondsOrNone = 60
    grace_seconds: SecondsOrNone = 30
    ledger_seconds: WholeSeconds = 7 * 86_400
    history_seconds: WholeSeconds | None = None
    stall_seconds: Seconds = 30
    outage_seconds: SecondsOrNone = 120
    message_bytes: Count = MESSAGE_BYTES
    registry_share: Annotated[float, Meta(gt=0, le=1)] = 0.5


class EventsTable(msgspec.Struct, frozen=True):
    """The Celery task to send for each moved tag, and its queue."""

    task: Text | None = None
    queue: Text = "imagepusher.events"


class HttpTable(msgspec.Struct, frozen=True):
    """Limits of the requests to registries: seconds, bytes and tries."""

    connect_timeout: Seconds = _HTTP.connect_timeout
    idle_timeout: Seconds = _HTTP.idle_timeout
    commit_timeout: Seconds = _HTTP.commit_timeout
    tries: Count = _HTTP.tries
    longest_wait: SecondsOrNone = _HTTP.longest_wait
    retry_after_limit: SecondsOrNone = _HTTP.retry_after_limit
    manifest_bytes: Count = _HTTP.manifest_bytes
    index_entries: Count = _HTTP.index_entries
    proxy: Proxy | None = None


class LogsTable(msgspec.Struct, frozen=True):
    """The form of log lines."""

    format: LogFormat = "auto"


class MetricsTable(msgspec.Struct, frozen=True):
    """The address for metrics; a label has at most `label_values` values that the settings do not name."""

    address: str = ""
    label_values: Count = LABEL_VALUES


class TracingTable(msgspec.Struct, frozen=True):
    """The collector for traces."""

    endpoint: str = ""


class PageTable(msgspec.Struct, frozen=True):
    """The page of pushes: its address, the users who may act, and its links.

    `login_file` holds user:password, one on each line. A reverse proxy at one of `proxies` (addresses or networks)
    names the user in the header `user_header`. `url` is the address of the page in browsers, `flower_url` that of
    Flower. In `trace_url`, `{push_id}` stands for the id of a push.
    """

    address: str = "127.0.0.1:5556"
    login_file: Text | None = None
    user_header: Text | None = None
    proxies: list[Text] = msgspec.field(default_factory=lambda: ["127.0.0.1", "::1"])
    url: Text | None = None
    anonymous_actions: bool = False
    flower_url: Text | None = None
    trace_url: Text | None = None


class PubtoolsTable(msgspec.Struct, frozen=True):
    """Settings for programs that use the interface of pubtools-quay: whether to drop passwords in target settings.

    This is for programs with a broker, whose workers hold the credentials.
    """

    drop_passwords: bool = False


class ReceiptsTable(msgspec.Struct, frozen=True):
    """The receipts of pushes: the file with the private key that signs them; without one there are none."""

    key_file: Text | None = None


class SignaturesTable(msgspec.Struct, frozen=True):
    """The trust root by which the identities of signers are verified: a file in the form of sigstore."""

    trusted_root: Text | None = None


class IdentityTable(msgspec.Struct, frozen=True):
    """A signer without a key: the name in the certificate, and the issuer who vouched for it."""

    identity: Text
    issuer: Text


class WorkerTable(msgspec.Struct, frozen=True):
    """Files of a worker process."""

    heartbeat_file: Text | None = None


class TargetTable(msgspec.Struct, frozen=True):
    """A named destination: its host, its names and the rules for its tags."""

    host: str = ""
    namespace: str = ""
    naming: Naming | None = None
    platforms: list[str] = []
    missing_children: MissingChildren = Target.missing_children
    exact_os_version: bool = Target.exact_os_version
    jobs: Count = Target.jobs
    tries: Count | None = None
    merge: bool = Target.merge
    referrers: Literal["all", "none"] | list[Text] | None = None
    referrers_required: bool = Target.referrers_required
    verify_keys: list[Text] = []
    verify_identities: list[IdentityTable] = []
    verify_index: IndexSignature = "own"
    immutable: list[Text] = []
    platform_removal: PlatformRemoval = Target.platform_removal
    forward_only: ForwardOnly | None = None
    version_pattern: Text | None = None
    keep_replaced: bool = Target.keep_replaced
    create: Create = Target.create
    visibility: Visibility = Target.visibility


class CredentialsTable(msgspec.Struct, frozen=True):
    """A user, with a password, or with the variable or file that holds it; or the login of a cloud."""

    username: Text | None = None
    password: Text | None = None
    password_file: Text | None = None
    password_env: Variable | None = None
    identity_token: Text | None = None
    identity_token_file: Text | None = None
    identity_token_env: Variable | None = None
    login: Login | None = None


class RegistryTable(CredentialsTable, frozen=True):
    """One registry: the connection and the credentials."""

    tls_verify: bool = True
    plain_http: bool | None = None
    ca_file: Text | None = None
    certificates: Text | None = None
    client_certificate: Text | None = None
    client_key: Text | None = None
    requests_at_once: Count = _REGISTRY.requests_at_once
    requests_per_second: Annotated[float, Meta(gt=0)] | None = None
    uploads: UploadChoice = _REGISTRY.uploads
    part_bytes: Annotated[int, Meta(ge=LEAST_PART_BYTES)] | None = None
    api_token_file: Text | None = None
    api: Api | None = None
    source: CredentialsTable = CredentialsTable()
    destination: CredentialsTable = CredentialsTable()


class Document(msgspec.Struct, frozen=True):
    """The whole settings file, a table for each field."""

    broker: BrokerTable = BrokerTable()
    limits: LimitsTable = LimitsTable()
    http: HttpTable = HttpTable()
    logs: LogsTable = LogsTable()
    metrics: MetricsTable = MetricsTable()
    tracing: TracingTable = TracingTable()
    events: EventsTable = EventsTable()
    receipts: ReceiptsTable = ReceiptsTable()
    signatures: SignaturesTable = SignaturesTable()
    worker: WorkerTable = WorkerTable()
    page: PageTable = PageTable()
    pubtools: PubtoolsTable = PubtoolsTable()
    targets: dict[str, TargetTable] = {}
    registries: dict[str, RegistryTable] = {}
    producers: dict[str, ProducerTable] = {}
    policy: dict[str, PolicyTable] = {}
    auth_files: list[Text] = []
    certs_d: bool = True
    state_dir: Text | None = None

    def credentials(self) -> list[CredentialsTable]:
        """Return every table that may hold credentials."""
        return [part for table in self.registries.values() for part in (table, table.source, table.destination)]

    def holds_secrets(self) -> bool:
        """Tell whether the document itself contains a password, token or key."""
        keys = (self.broker.key, *(table.key for table in self.producers.values()))
        return any(keys) or any(table.password or table.identity_token for table in self.credentials())

    def secret_variables(self) -> set[str]:
        """Return the environment variables that the document names as holding a secret."""
        named = ((table.password_env, table.identity_token_env) for table in self.credentials())
        return {name for pair in named for name in pair if name}


_Table = TypeVar("_Table", bound=msgspec.Struct)

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
                faults.append(f"{variable}: {_reason(error, kind).removesuffix(', got `str`')}")


def working_folder() -> Path:
    """Return the folder for relative paths of the environment; "." if that folder has been removed."""
    try:
        return Path.cwd()
    except OSError:
        return Path()


def is_there(path: Path, *, folder: bool = False) -> bool:
    """Tell whether a file or folder exists; False for an impossible file name."""
    try:
        return path.is_dir() if folder else path.is_file()
    except (OSError, ValueError):
        return False


def expand(text: str) -> Path:
    """Return a path with `~` replaced, if that home folder is known."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def read(document: Any, kind: type[_Table], faults: list[str], place: str = "") -> _Table:
    """Return `document` as a table; every unknown or wrong key becomes a fault and is omitted."""
    if not isinstance(document, dict):
        faults.append(f"{place}: expected a table")
        return kind()
    types = {field.name: field.type for field in msgspec.structs.fields(kind)}
    values = {}
    for key, value in document.items():
        here = under(place, key)
        if key not in types:
            faults.append(f"{here} is not a known key{nearest(key, types)}")
            continue
        try:
            values[key] = _read_value(value, types[key], faults, here)
        except msgspec.ValidationError as error:
            faults.append(f"{here}: {_reason(error, types[key])}")
    return kind(**values)


def _read_value(value: Any, kind: Any, faults: list[str], place: str) -> Any:
    # Convert each table separately: msgspec stops at the first fault and does not name the key of a dict.
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return read(value, kind, faults, place)
    if get_origin(kind) is dict:
        if not isinstance(value, dict):
            faults.append(f"{place}: expected a table")
            return {}
        return {name: read(item, get_args(kind)[1], faults, under(place, name)) for name, item in value.items()}
    return msgspec.convert(value, kind, strict=True)


def check_variables(environment: Mapping[str, str], document: Document, faults: list[str]) -> None:
    """Add a fault for every unknown variable with our prefix."""
    known = VARIABLES.keys() | _OTHERS | document.secret_variables()
    faults.extend(
        f"{variable} is not a known variable{nearest(variable, known)}"
        for variable in sorted(environment)
        if variable.startswith(PREFIX) and variable not in known
    )


def under(place: str, key: str) -> str:
    """Return the TOML name of a key in a table; the part before an `@` may be a secret and is masked."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", key):
        _, at, rest = key.rpartition("@")
        key = f'"{"…@" if at else ""}{rest[:100]}"'
    return f"{place}.{key}" if place else key


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the end of an error message on `word`: the nearest known word, or all known words."""
    # Only a fault needs it.
    from difflib import get_close_matches  # noqa: PLC0415

    choices = sorted(known)
    near = get_close_matches(word, choices, n=1)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(choices)}"


def _reason(error: msgspec.ValidationError, kind: Any) -> str:
    choices = _choices(kind)
    if choices:
        return f"expected {' or '.join(choices)}"
    if repr(_NO_NULL) in str(error):
        return "holds a null byte"
    reason = str(error).replace(" | null", "")
    return reason[0].lower() + reason[1:]


def _choices(kind: Any) -> list[str]:
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [choice for part in get_args(kind) for choice in _choices(part)]
