"""What a settings file and the environment may say, read strictly: no key, variable or type that is not known here."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta

from tasks.celery_glue.admission import MESSAGE_BYTES
from tasks.contract import ForwardOnly, PlatformRemoval
from tasks.oci.signatures import IndexSignature
from tasks.registry.settings import HttpLimits, Proxy, RegistrySettings, UploadChoice
from tasks.registry.upload_forms import LEAST_PART_BYTES
from tasks.transfer.request.policy import Action
from tasks.transfer.request.target import Create, MissingChildren, Naming, Target, Visibility

_YEAR: Final = 365 * 86_400
_HTTP: Final = HttpLimits()
_REGISTRY: Final = RegistrySettings()

# No path, URL or password holds a null byte, and the calls that take one raise something else than OSError.
_NO_NULL: Final = r"\A[^\0]*\Z"
Text = Annotated[str, Meta(min_length=1, pattern=_NO_NULL)]
Variable = Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]
Count = Annotated[int, Meta(ge=1)]
# The upper bound keeps out `inf`, which TOML can say.
Seconds = Annotated[float, Meta(gt=0, le=_YEAR)]
SecondsOrNone = Annotated[float, Meta(ge=0, le=_YEAR)]
WholeSeconds = Annotated[int, Meta(ge=1, le=_YEAR)]

LABEL_VALUES: Final = 50

LogFormat = Literal["auto", "json", "console"]

PREFIX: Final = "IMAGEPUSHER_"
# Read by the command line, the logs and the scripts in deploy/ and tests/.
_OTHERS: Final = frozenset(PREFIX + name for name in ("CONFIG", "VENV", "SRC_CREDS", "DEST_CREDS", "LOG_LEVEL"))


class BrokerTable(msgspec.Struct, frozen=True):
    """Where messages, results and state go; for TLS, whom to trust and who one is."""

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
    """Who may send pushes, known by a key."""

    key: Text | None = None
    key_file: Text | None = None


class PolicyTable(msgspec.Struct, frozen=True):
    """A rule: what these producers, or all where none is named, may have done."""

    producers: list[Text] = []
    sources: list[Text] = msgspec.field(default_factory=lambda: ["*"])
    destinations: list[Text] = msgspec.field(default_factory=lambda: ["*"])
    actions: list[Action] = msgspec.field(default_factory=lambda: ["push"])


class LimitsTable(msgspec.Struct, frozen=True):
    """Bounds of one process and of what it does.

    `jobs` counts the transfers and tasks at once, `task_tries` the deliveries of a task. A registry under maintenance
    is waited for `maintenance_seconds`. `copy_seconds` is the deadline of one copy, after `visibility_seconds` a broker
    on Redis delivers again what nobody acknowledged. A tag's lock is leased for `lock_seconds` and waited for
    `lock_wait_seconds`. A warm shutdown takes `grace_seconds`. A push is remembered for `ledger_seconds`, the moves of
    a tag for `history_seconds`, which is as long where it is not set. A push that was not heard of for `stall_seconds`
    is driven on, and a Redis that is away is waited for `outage_seconds`.
    A message of more than `message_bytes` is refused.
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


class EventsTable(msgspec.Struct, frozen=True):
    """Which Celery task is sent, to which queue, for each tag that moved."""

    task: Text | None = None
    queue: Text = "imagepusher.events"


class HttpTable(msgspec.Struct, frozen=True):
    """Bounds of the exchanges with registries: seconds, bytes and tries."""

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
    """Where metrics are served; a label has at most `label_values` values that the settings do not name."""

    address: str = ""
    label_values: Count = LABEL_VALUES


class TracingTable(msgspec.Struct, frozen=True):
    """The collector that traces are sent to."""

    endpoint: str = ""


class PageTable(msgspec.Struct, frozen=True):
    """The page of pushes: where it listens, who may act on it, and the pages that it links to.

    `login_file` holds user:password, one a line. A reverse proxy at one of `proxies` (addresses or networks) names the
    user in the header `user_header`. `url` is the address that browsers know the page by, `flower_url` that of Flower.
    In `trace_url`, `{push_id}` stands for the id of a push.
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
    """Programs that were written for pubtools-quay: whether passwords in their target settings are left out.

    That is for programs with a broker, whose workers hold the credentials.
    """

    drop_passwords: bool = False


class WorkerTable(msgspec.Struct, frozen=True):
    """Files of a worker process."""

    heartbeat_file: Text | None = None


class TargetTable(msgspec.Struct, frozen=True):
    """A named destination: its host, its names, and the rules for its tags."""

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
    verify_index: IndexSignature = "own"
    immutable: list[Text] = []
    platform_removal: PlatformRemoval = Target.platform_removal
    forward_only: ForwardOnly | None = None
    version_pattern: Text | None = None
    keep_replaced: bool = Target.keep_replaced
    create: Create = Target.create
    visibility: Visibility = Target.visibility


class CredentialsTable(msgspec.Struct, frozen=True):
    """A user, with a password or the name of its variable or file."""

    username: Text | None = None
    password: Text | None = None
    password_file: Text | None = None
    password_env: Variable | None = None
    identity_token: Text | None = None
    identity_token_file: Text | None = None
    identity_token_env: Variable | None = None


class RegistryTable(CredentialsTable, frozen=True):
    """One registry: how it is reached, and as which user."""

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
        """Tell whether a password, a token or a key stands in the document itself."""
        keys = (self.broker.key, *(table.key for table in self.producers.values()))
        return any(keys) or any(table.password or table.identity_token for table in self.credentials())

    def secret_variables(self) -> set[str]:
        """Return the variables of the environment that are named as holding a secret."""
        named = ((table.password_env, table.identity_token_env) for table in self.credentials())
        return {name for pair in named for name in pair if name}


_Table = TypeVar("_Table", bound=msgspec.Struct)

# Every variable that stands for a key of the document.
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
    """Put what the environment says into the document of the file, where it wins; an empty variable says nothing."""
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
            # In the file a relative path is relative to the file, here to the working directory.
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
                # Every variable is a string; what is due is all there is to say.
                faults.append(f"{variable}: {_reason(error, kind).removesuffix(', got `str`')}")


def working_folder() -> Path:
    """Return where relative paths of the environment start; "." where that folder was removed meanwhile."""
    try:
        return Path.cwd()
    except OSError:
        return Path()


def is_there(path: Path, *, folder: bool = False) -> bool:
    """Tell whether there is a file, or a folder; a name that no file can have names none."""
    try:
        return path.is_dir() if folder else path.is_file()
    except (OSError, ValueError):
        return False


def expand(text: str) -> Path:
    """Return a path with `~` replaced, where the home that it stands for is known."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def read(document: Any, kind: type[_Table], faults: list[str], place: str = "") -> _Table:
    """Return the table that `document` is; every key that is unknown or wrong becomes a fault and is left out."""
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
    # Table by table, not the whole document at once: msgspec stops at the first fault and does not name a dict's key.
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return read(value, kind, faults, place)
    if get_origin(kind) is dict:
        if not isinstance(value, dict):
            faults.append(f"{place}: expected a table")
            return {}
        return {name: read(item, get_args(kind)[1], faults, under(place, name)) for name, item in value.items()}
    return msgspec.convert(value, kind, strict=True)


def check_variables(environment: Mapping[str, str], document: Document, faults: list[str]) -> None:
    """Note every variable with our prefix that nobody reads."""
    known = VARIABLES.keys() | _OTHERS | document.secret_variables()
    faults.extend(
        f"{variable} is not a known variable{nearest(variable, known)}"
        for variable in sorted(environment)
        if variable.startswith(PREFIX) and variable not in known
    )


def under(place: str, key: str) -> str:
    """Return the name of a key in a table, as TOML writes it; what stands before an `@` may be a secret."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", key):
        _, at, rest = key.rpartition("@")
        key = f'"{"…@" if at else ""}{rest[:100]}"'
    return f"{place}.{key}" if place else key


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the end of a sentence that refuses `word`: the known word that was meant, or all of them."""
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
