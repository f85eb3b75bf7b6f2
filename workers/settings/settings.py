"""Settings of this process, from a TOML file and the environment, which takes precedence."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from tasks.discreet import Discreet
from tasks.errors import SettingsInvalid
from tasks.registry.http.certs_d import usual_folders
from tasks.registry.settings import HttpLimits, RegistryConfiguration
from tasks.transfer.request.target import Target
from workers.settings.broker_urls import BrokerOptions, BrokerUrls, read_urls
from workers.settings.document import (
    PREFIX,
    BrokerTable,
    Document,
    HttpTable,
    LimitsTable,
    ReceiptsTable,
    SignaturesTable,
    check_variables,
    expand,
    overlay,
    read,
    under,
    working_folder,
)
from workers.settings.hosts import read_host
from workers.settings.observability import Observability, read_observability
from workers.settings.page import PageSettings, read_page
from workers.settings.registries import RegistryReader, warn_if_readable
from workers.settings.targets import read_target
from workers.settings.trust import Trust, TrustReader

if TYPE_CHECKING:
    from tasks.oci.signing import SigningKey
    from tasks.transfer.plan.keyless import TrustRoot


class Settings(Discreet, frozen=True, kw_only=True):
    """The settings of a process; `load_settings({})` returns the defaults.

    Without `broker_url`, tasks run in this process, and `state_dir` holds the ledger of its pushes. `result_url` is in
    Celery's form, `state_url` (ledger and locks) in redis-py's form. For the limits see LimitsTable.
    """

    _hidden: ClassVar = frozenset({"broker_url", "result_url", "state_url"})

    broker_url: str | None
    result_url: str | None
    state_url: str | None
    targets: dict[str, Target]
    registries: RegistryConfiguration
    state_dir: Path
    jobs: int
    task_tries: int
    maintenance_seconds: float
    copy_seconds: float
    visibility_seconds: int
    lock_seconds: float
    lock_wait_seconds: float
    grace_seconds: float
    ledger_seconds: int
    history_seconds: int | None
    stall_seconds: float
    outage_seconds: float
    message_bytes: int
    registry_share: float
    trust: Trust
    receipt_key: "SigningKey | None"
    trust_root: "TrustRoot | None"
    events_task: str | None
    events_queue: str
    observability: Observability
    heartbeat_file: Path | None
    page: PageSettings
    drop_passwords: bool


def load_settings(environment: Mapping[str, str], path: str | None = None) -> Settings:
    """Read the TOML file at `path`, else at IMAGEPUSHER_CONFIG, if any, and the IMAGEPUSHER_* variables.

    Raises SettingsInvalid with all faults, each with its key and the expected value. Warns of files with secrets that
    every user of the machine can read.
    """
    named = path or environment.get(f"{PREFIX}CONFIG") or None
    file = working_folder() / named if named else None
    document = _read_toml(file) if file else {}
    faults: list[str] = []
    overlay(document, environment, faults)
    tables = read(document, Document, faults)
    check_variables(environment, tables, faults)
    # The tables are interpreted only if they are well-formed: a partial table would cause false faults.
    _raise_any(faults, file)
    settings = _interpret(tables, environment, file.parent if file else working_folder(), faults)
    _raise_any(faults, file)
    if file and tables.holds_secrets():
        warn_if_readable(file)
    return settings


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        import tomllib  # noqa: PLC0415 - most commands have no file of settings

        return tomllib.loads(file.read_bytes().decode())
    except OSError as error:
        raise SettingsInvalid(f"The settings file {file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise SettingsInvalid(f"The settings file {file} is not UTF-8 text.") from None
    except RecursionError:
        raise SettingsInvalid(f"The settings file {file} is nested too deeply.") from None
    except ValueError as error:
        raise SettingsInvalid(f"The settings file {file} is not TOML: {error}.") from None


def _raise_any(faults: list[str], file: Path | None) -> None:
    if faults:
        where = f"{file} and the environment" if file else "the environment"
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        told = "; ".join(faults)
        end = "" if told.endswith("?") else "."
        raise SettingsInvalid(f"The configuration ({where}) has {count}: {told}{end}")


def _interpret(tables: Document, environment: Mapping[str, str], base: Path, faults: list[str]) -> Settings:
    reader = RegistryReader(environment, base, faults)
    urls = _read_broker(tables.broker, reader)
    _check_limits(tables.limits, faults)
    registries = {}
    for name, table in tables.registries.items():
        place = under("registries", name)
        registry = read_host(place, name, faults)
        if registry in registries:
            faults.append(f"{place} is {registry}, which has settings already")
        registries[registry] = reader.registry(place, registry, table)
    return Settings(
        broker_url=urls.broker,
        result_url=urls.result,
        state_url=urls.state,
        targets={name: read_target(under("targets", name), table, reader) for name, table in tables.targets.items()},
        registries=RegistryConfiguration(
            registries=registries,
            auth_files=tuple(reader.existing("auth_files", path) for path in tables.auth_files),
            limits=_limits(tables.http),
            usual_certificates=usual_folders(environment) if tables.certs_d else (),
            # A command uses the proxies of its user's environment. That of a worker is seldom meant for its registries.
            proxy=tables.http.proxy or ("none" if urls.broker else "environment"),
            secret_variables=frozenset(tables.secret_variables()),
        ),
        state_dir=base / expand(tables.state_dir) if tables.state_dir else _default_state_dir(environment, faults),
        heartbeat_file=base / expand(tables.worker.heartbeat_file) if tables.worker.heartbeat_file else None,
        observability=read_observability(tables.logs, tables.metrics, tables.tracing, faults),
        page=read_page(tables.page, reader),
        drop_passwords=tables.pubtools.drop_passwords,
        trust=TrustReader(base, faults).read(tables.broker, tables.producers, tables.policy),
        receipt_key=_receipt_key(tables.receipts, reader),
        trust_root=_trust_root(tables.signatures, reader),
        events_task=tables.events.task,
        events_queue=tables.events.queue,
        **msgspec.structs.asdict(tables.limits),
    )


def _read_broker(table: BrokerTable, reader: RegistryReader) -> BrokerUrls:
    files = reader.tls_files("broker", table)
    # In the form of kombu and redis-py.
    parameters = {
        "ssl_ca_certs": files.ca_file,
        "ssl_certfile": files.client_certificate,
        "ssl_keyfile": files.client_key,
    }
    options = BrokerOptions({name: path for name, path in parameters.items() if path}, table.sentinel_master)
    return read_urls(table.url, table.result_url, table.state_url, options, reader.faults)


def _limits(table: HttpTable) -> HttpLimits:
    bounds = frozenset(HttpLimits.__struct_fields__)
    return HttpLimits(**{name: value for name, value in msgspec.structs.asdict(table).items() if name in bounds})


def _check_limits(limits: LimitsTable, faults: list[str]) -> None:
    if limits.visibility_seconds <= limits.copy_seconds:
        faults.append(
            f"limits.visibility_seconds ({limits.visibility_seconds}) must be longer than limits.copy_seconds"
            f" ({limits.copy_seconds:g}): the broker would deliver a copy again while it runs"
        )
    if limits.history_seconds is not None and limits.history_seconds < limits.ledger_seconds:
        faults.append(
            f"limits.history_seconds ({limits.history_seconds}) must not be shorter than limits.ledger_seconds"
            f" ({limits.ledger_seconds}): the moves of a tag are kept at least as long as the pushes"
        )


def _trust_root(table: SignaturesTable, reader: RegistryReader) -> "TrustRoot | None":
    if table.trusted_root is None:
        return None
    # Few settings name one.
    from tasks.transfer.plan.keyless import TrustRoot  # noqa: PLC0415

    return TrustRoot(Path(reader.existing("signatures.trusted_root", table.trusted_root)))


def _receipt_key(table: ReceiptsTable, reader: RegistryReader) -> "SigningKey | None":
    """Return the key of receipts, a file with a private key in PEM."""
    if table.key_file is None:
        return None
    # As above.
    from tasks.oci.signing import SigningKey  # noqa: PLC0415

    path = reader.base / expand(table.key_file)
    pem = reader.secret_file("receipts.key_file", path)
    try:
        return SigningKey.parse(pem) if pem else None
    except ValueError as error:
        reader.faults.append(f"receipts.key_file: {path} {error}")
        return None


def _default_state_dir(environment: Mapping[str, str], faults: list[str]) -> Path:
    """Return the state folder of the XDG Base Directory Specification, which ignores a relative XDG_STATE_HOME."""
    state = Path(environment.get("XDG_STATE_HOME", ""))
    if state.is_absolute():
        return state / "imagepusher"
    try:
        home = Path(environment.get("HOME") or Path.home())
    except RuntimeError:
        faults.append(f"state_dir ({PREFIX}STATE_DIR) is missing, and there is no home folder to put it in")
        home = Path()
    return home / ".local" / "state" / "imagepusher"
