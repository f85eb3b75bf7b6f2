"""Examination of everything that a push needs, from this process and with its settings."""

import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib.metadata import version
from typing import Final

from msgspec.structs import replace

from tasks.coordination.local.sqlite import FileHashes
from tasks.errors import StateFolderUnusable
from tasks.oci.reference import Reference, carries_registry, without_transport
from tasks.registry.settings import HttpLimits, RegistryConfiguration, Role
from workers.doctor.equipment import judge_equipment
from workers.doctor.finding import Diagnosis, Finding, diagnose, fault, fine, warning
from workers.doctor.fleet import judge_fleet
from workers.doctor.rabbitmq import examine_rabbitmq
from workers.doctor.redis_server import RedisServer
from workers.doctor.registries import PROBED_REPOSITORY, RegistryExamination
from workers.doctor.trust import judge_trust
from workers.settings import Settings
from workers.settings.broker_urls import for_redis
from workers.settings.equipment import equipment_of

NONE_EXAMINED: Final = "registries"
_ROLES: Final[tuple[Role, ...]] = ("source", "destination")

_AT_ONCE: Final = 8
_STATE_KEY: Final = "broker.state_url"
_PROBE: Final = "imagepusher:doctor"


def examine(settings: Settings, places: Sequence[str] = (), *, read_only: bool = False) -> Diagnosis:
    """Examine broker, workers and registries; `places` are further destinations to examine, HOST/NAMESPACE.

    Without a broker, examine the state folder instead. Raises ValueError for a malformed place.
    """
    examinations = _registries(settings, [_place(text) for text in places], read_only=read_only)
    registries = [examination.registry for examination in examinations]
    findings = [*(_broker(settings, registries) if settings.broker_url is not None else _state_dir(settings))]
    if not examinations:
        findings.append(_no_registry())
    with ThreadPoolExecutor(_AT_ONCE) as executor:
        for found in executor.map(lambda examination: list(examination.examine()), examinations):
            findings += found
    return diagnose(findings)


def _broker(settings: Settings, registries: Sequence[str]) -> Iterator[Finding]:
    yield from judge_trust(settings)
    servers: dict[str, dict[str, str]] = {}
    for key, use, url in (
        ("broker.url", "messages", settings.broker_url),
        ("broker.result_url", "results", settings.result_url),
        (_STATE_KEY, "state", settings.state_url),
    ):
        if url is not None and url.startswith("amqp"):
            yield from examine_rabbitmq(settings)
        elif url is not None:
            servers.setdefault(for_redis(url), {})[key] = use
    for url, uses in servers.items():
        server = RedisServer(url, uses)
        yield from server.examine()
        if _STATE_KEY in uses and (workers := server.workers()) is not None:
            yield from judge_fleet(workers, version("imagepusher"), server.where)
            if workers:
                yield from judge_equipment(registries, equipment_of(settings.registries), workers)


def _state_dir(settings: Settings) -> Iterator[Finding]:
    """Write to the state folder as a push without a broker would."""
    check, where = "state_dir.writable", str(settings.state_dir)
    try:
        with closing(FileHashes(settings.state_dir / "ledger.sqlite3", settings.ledger_seconds)) as hashes:
            hashes.put({_PROBE: {"examined": b"1"}})
            hashes.delete(_PROBE)
    except (OSError, sqlite3.Error, StateFolderUnusable) as error:
        reason = getattr(error, "strerror", None) or str(error.__cause__ or error)
        advice = "Let state_dir (IMAGEPUSHER_STATE_DIR) name a folder that you may write to."
        yield fault(check, where, f"the state folder cannot be used: {reason}", advice)
        return
    yield fine(check, where, "the state folder can be written (no broker: pushes run in the process of the command)")


def _registries(settings: Settings, places: Sequence[Reference], *, read_only: bool) -> list[RegistryExamination]:
    """Return the examination of each registry; raises RequestInvalid if given credentials would go to several."""
    to_push: dict[str, list[str]] = {name: [] for name in settings.registries.registries}
    aimed_at = [target.reference(PROBED_REPOSITORY) for target in settings.targets.values() if target.host]
    for reference in (*aimed_at, *places):
        repositories = to_push.setdefault(reference.registry, [])
        if reference.repository not in repositories:
            repositories.append(reference.repository)
    hasty = replace(settings.registries, limits=_hasty(settings.registries.limits))
    others = _without_given(_without_given(hasty, "source"), "destination")
    receivers = {place.registry for place in places} or set(to_push)
    for role in _ROLES:
        hasty.check_hosts(role, receivers)
    if hasty.destination_override.credentials is not None:
        # What is named is a destination: credentials for a source are for another registry.
        hasty = _without_given(hasty, "source")
    return [
        RegistryExamination(registry, repositories, hasty if registry in receivers else others, read_only=read_only)
        for registry, repositories in to_push.items()
    ]


def _without_given(configuration: RegistryConfiguration, role: Role) -> RegistryConfiguration:
    """Return the configuration without the credentials that a command was given for a role."""
    if role == "source":
        return replace(configuration, source_override=replace(configuration.source_override, credentials=None))
    return replace(configuration, destination_override=replace(configuration.destination_override, credentials=None))


def _hasty(limits: HttpLimits) -> HttpLimits:
    """Return shorter limits, for a person who waits for an answer."""
    return replace(
        limits,
        connect_timeout=min(limits.connect_timeout, 5),
        idle_timeout=min(limits.idle_timeout, 10),
        answer_timeout=min(limits.answer_timeout, 20),
        tries=min(limits.tries, 2),
        longest_wait=min(limits.longest_wait, 1),
    )


def _place(text: str) -> Reference:
    """Return the repository to try below HOST/NAMESPACE; raises ValueError."""
    name = without_transport(text).rstrip("/")
    if not carries_registry(f"{name}/{PROBED_REPOSITORY}"):
        raise ValueError(f"{text!r} is not HOST/NAMESPACE, such as registry.example.com/team")
    return Reference.parse(f"{name}/{PROBED_REPOSITORY}")


def _no_registry() -> Finding:
    return warning(
        NONE_EXAMINED,
        "settings",
        "no registry and no target is configured here, so that none was examined",
        "Name what you push to, imagepusher doctor HOST/NAMESPACE; with a broker, run it with the workers' settings.",
    )
