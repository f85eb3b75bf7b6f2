"""The checks of trust: signed messages, and a policy for producers."""

from collections.abc import Iterator
from typing import Final

from workers.doctor.finding import Finding, fine, warning
from workers.settings import Settings
from workers.settings.broker_address import SOCKETS, split_address

_WHERE: Final = "settings"


def judge_trust(settings: Settings) -> Iterator[Finding]:
    """Yield the findings on access that the settings leave open to everyone who reaches the broker.

    If only this machine reaches the broker, they are not warnings.
    """
    for finding in _open_to_all(settings):
        own = finding.level == "warning" and _is_own(settings.broker_url or "")
        yield fine(finding.check, _WHERE, f"{finding.found} (the broker is this machine's own)") if own else finding


def _is_own(url: str) -> bool:
    address = split_address(url)
    hosts = (host.rpartition(":")[0] or host for host in address.hosts)
    return address.scheme in SOCKETS or all(host in {"localhost", "[::1]"} or host.startswith("127.") for host in hosts)


def _open_to_all(settings: Settings) -> Iterator[Finding]:
    keys, rules = settings.trust.keys, settings.trust.policy.rules
    if keys.workers is None:
        yield warning(
            "trust.workers",
            _WHERE,
            "workers do not sign what they send each other: who may write to the broker can end a push",
            "Give all workers one key: broker.key_file (deploy/redis/make-secrets makes one).",
        )
    else:
        yield fine("trust.workers", _WHERE, "workers sign what they send each other")
    if not keys.producers:
        yield warning(
            "trust.producers",
            _WHERE,
            "pushes need no signature: nothing says who asked for one",
            "Give each producer a key: [producers.NAME] key_file.",
        )
    else:
        yield fine("trust.producers", _WHERE, f"pushes are taken of {', '.join(sorted(keys.producers))}")
    if not rules:
        yield warning(
            "trust.policy",
            _WHERE,
            "no rule says what may be pushed where: whoever may send a push may have everything pushed, and undone",
            "Write rules: [policy.NAME] producers, sources, destinations, actions.",
        )
    else:
        yield fine("trust.policy", _WHERE, f"{len(rules)} rules say what may be pushed where")
