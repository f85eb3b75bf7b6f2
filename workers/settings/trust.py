"""The settings of trust: the keys of workers and producers, and the policy for producers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from tasks.celery_glue.signature import Keys, Signer
from tasks.transfer.request.policy import WORKERS, Policy, Rule
from tasks.transfer.request.target import Target
from tasks.transfer.request.validation import validate
from workers.settings.document import BrokerTable, PolicyTable, ProducerTable, expand, under
from workers.settings.registries import warn_if_readable

_LEAST_BYTES: Final = 16


class Trust(msgspec.Struct, frozen=True):
    """The known keys, the name under which this process signs its messages, and the policy."""

    keys: Keys = msgspec.field(default_factory=Keys)
    signer: Signer | None = None
    policy: Policy = msgspec.field(default_factory=Policy)

    def check_hold(self, tag: str) -> None:
        """Raise NotPermitted unless this process may put a tag on hold, and release it."""
        self.policy.check(self._name, "hold", None, [tag])

    def check_cancel(self, request: object, targets: Mapping[str, Target]) -> None:
        """Raise NotPermitted unless this process may cancel the push of a request; RequestInvalid for no request."""
        if self.policy.binds(self._name):
            self.policy.check_push(self._name, "cancel", validate(request, targets))

    @property
    def _name(self) -> str | None:
        return None if self.signer is None else self.signer.name


class TrustReader(msgspec.Struct, frozen=True):
    """A reader of the settings of trust; relative paths start at `base`, and errors go to `faults`."""

    base: Path
    faults: list[str]

    def read(
        self, broker: BrokerTable, producers: Mapping[str, ProducerTable], policy: Mapping[str, PolicyTable]
    ) -> Trust:
        """Return the trust settings of these tables."""
        workers = self._key("broker", broker)
        keys = {}
        for name, table in producers.items():
            place = under("producers", name)
            if name == WORKERS or not name.isascii() or ":" in name:
                self.faults.append(f"{place}: a producer cannot have this name")
            key = self._key(place, table)
            if key is None:
                self.faults.append(f"{place}.key_file is missing: a producer is known by its key")
            else:
                keys[name] = key
        if keys and workers is None and broker.producer is None:
            self.faults.append("broker.key_file is missing: with producers, workers must tell their own messages too")
        signer = None if workers is None else Signer(WORKERS, workers)
        if broker.producer is not None:
            if broker.producer not in keys:
                self.faults.append(f"broker.producer: producers has no {broker.producer!r}")
            if workers is not None:
                self.faults.append("broker.producer and broker.key_file exclude each other: they are two senders")
            signer = Signer(broker.producer, keys.get(broker.producer, b""))
        rules = tuple(self._rule(name, table, keys) for name, table in policy.items())
        return Trust(Keys(workers, keys), signer, Policy(rules))

    def _rule(self, name: str, table: PolicyTable, producers: Mapping[str, bytes]) -> Rule:
        place = under("policy", name)
        for producer in table.producers:
            if producer not in producers:
                self.faults.append(f"{place}.producers: producers has no {producer!r}")
        return Rule(
            name,
            None if not table.producers else frozenset(table.producers),
            tuple(table.sources),
            tuple(table.destinations),
            frozenset(table.actions),
        )

    def _key(self, place: str, table: BrokerTable | ProducerTable) -> bytes | None:
        """Return the key of a table or of the file that it names; None if there is neither."""
        if table.key is not None and table.key_file is not None:
            self.faults.append(f"{place}: key and key_file exclude each other")
        if table.key is not None:
            return self._long_enough(f"{place}.key", table.key.encode())
        if table.key_file is None:
            return None
        path = self.base / expand(table.key_file)
        try:
            key = path.read_bytes().strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no file has such a name"
            self.faults.append(f"{place}.key_file: {path} cannot be read: {reason}")
            return b""
        warn_if_readable(path)
        return self._long_enough(f"{place}.key_file", key)

    def _long_enough(self, place: str, key: bytes) -> bytes:
        if len(key) < _LEAST_BYTES:
            self.faults.append(f"{place}: a key of {len(key)} bytes; it has at least {_LEAST_BYTES}")
        return key
