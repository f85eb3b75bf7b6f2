"""The tables of the settings file, and the file as a whole."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tasks.celery_glue.admission import MESSAGE_BYTES
from tasks.registry.settings import HttpLimits, Proxy
from tasks.transfer.request.policy import Action
from workers.settings.document.registry import CredentialsTable, RegistryTable
from workers.settings.document.target import TargetTable
from workers.settings.document.values import (
    LABEL_VALUES,
    Count,
    LogFormat,
    Seconds,
    SecondsOrNone,
    Text,
    WholeSeconds,
)

_HTTP: Final = HttpLimits()


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


class WorkerTable(msgspec.Struct, frozen=True):
    """Files of a worker process."""

    heartbeat_file: Text | None = None


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
