"""Redis as the program uses it: its commands, expiry, an append-only file that is a second behind, eviction.

`Store` is the server. `Client` is what product code holds in place of `redis.Redis`: it waits for a server that is away
and asks again where an answer was lost, as the program's own client does.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, Final, Self

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.lock import Lock as RedisLock

from tasks.coordination.redis.hashes import DROP_UP_TO_LAST, FETCH, INCREMENT, WRITE
from tasks.coordination.redis.leases import RENEWAL
from tasks.coordination.redis.locations import ADD
from tasks.coordination.redis.tag_locks import SEEN, WRITTEN
from tasks.coordination.tag_record import LAST, WRITER
from tests.simulation.decisions import Kind
from tests.simulation.scheduler import Away, LostAnswer, Process, Scheduler, Thread

_SECOND: Final = 1.0
_HANDOVER: Final = "LREM"


class Store:
    """The server: keys with values (bytes, a dict, a set, a list or anything else) and when they end."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.away_until = 0.0
        self.journals = False
        self.watchers: dict[str, list[Thread]] = {}
        # Who took each lease last.
        self.holders: dict[str, Process] = {}
        self.on_freed: Callable[[str], None] = lambda _key: None
        self.on_ended: Callable[[str], None] = lambda _key: None
        self.on_written: Callable[[Iterable[str]], None] = lambda _keys: None
        self._clock = clock
        self._values: dict[str, Any] = {}
        self._ends: dict[str, float] = {}
        # What each key was before each write of the last second, the oldest first.
        self._journal: deque[tuple[float, str, Any, float | None]] = deque()
        self.lost: list[str] = []
        self._written: dict[str, None] = {}

    def names(self) -> list[str]:
        """Return the keys that are there."""
        return [key for key in list(self._values) if self.find(key) is not None]

    def find(self, key: str) -> Any:
        """Return the value of a key, None if there is none."""
        ends = self._ends.get(key)
        if ends is not None and ends <= self._clock():
            del self._values[key], self._ends[key]
            self.on_ended(key)
            return None
        return self._values.get(key)

    def told(self) -> None:
        """Tell which keys were written since the last time: what is sent together is judged together."""
        written, self._written = self._written, {}
        if written:
            self.on_written(written)

    def change(self, key: str, make: Callable[[], Any]) -> Any:
        """Return the value of a key to be changed in place, made if there is none."""
        value = self.find(key)
        self._note(key, value)
        if value is None:
            value = self._values[key] = make()
        return value

    def put(self, key: str, value: Any, seconds: float | None = None) -> None:
        """Set a key; without `seconds` it never ends."""
        self._note(key, self.find(key))
        self._values[key] = value
        self._ends.pop(key, None)
        if seconds is not None:
            self._ends[key] = self._clock() + seconds

    def end_in(self, key: str, seconds: float) -> bool:
        """Let a key end after some time; False where there is none."""
        if self.find(key) is None:
            return False
        self._note(key, self._values[key])
        self._ends[key] = self._clock() + seconds
        return True

    def drop(self, key: str) -> bool:
        """Remove a key; False where there was none."""
        value = self.find(key)
        if value is None:
            return False
        self._note(key, value)
        self.holders.pop(key, None)
        del self._values[key]
        self._ends.pop(key, None)
        self.on_freed(key)
        return True

    def ends(self, key: str) -> float | None:
        """Return the time at which a key ends."""
        return self._ends.get(key)

    def lose_since(self, when: float) -> list[str]:
        """Forget all that was written since `when`, and return the keys that changed by that."""
        changed = []
        while self._journal and self._journal[-1][0] >= when:
            _, key, value, ends = self._journal.pop()
            changed.append(key)
            self._values.pop(key, None)
            self._ends.pop(key, None)
            if value is not None:
                self._values[key] = value
                if ends is not None:
                    self._ends[key] = ends
        self.lost += changed
        for key in changed:
            self.on_freed(key)
        return changed

    def _note(self, key: str, value: Any) -> None:
        self._written[key] = None
        if not self.journals:
            return
        now = self._clock()
        while self._journal and self._journal[0][0] < now - _SECOND:
            self._journal.popleft()
        copied = value.copy() if isinstance(value, dict | set | list) else value
        self._journal.append((now, key, copied, self._ends.get(key)))


class Commands:
    """The commands, carried out at once."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, key: str) -> bytes | None:
        found: bytes | None = self._store.find(key)
        return found

    def set(
        self, key: str, value: Any, *, nx: bool = False, px: int | None = None, ex: int | None = None
    ) -> bool | None:
        if nx and self._store.find(key) is not None:
            return None
        seconds = px / 1000 if px is not None else ex
        self._store.put(key, _bytes(value), seconds)
        return True

    def exists(self, key: str) -> int:
        return int(self._store.find(key) is not None)

    def delete(self, *keys: str) -> int:
        return sum(self._store.drop(key) for key in keys)

    def expire(self, key: str, seconds: float) -> bool:
        return self._store.end_in(key, seconds)

    def pttl(self, key: str) -> int:
        if self._store.find(key) is None:
            return -2
        ends = self._store.ends(key)
        return -1 if ends is None else round((ends - self._store._clock()) * 1000)

    def hset(self, key: str, field: str | None = None, value: Any = None, mapping: Any = None) -> int:
        fields = dict(mapping or {}) | ({} if field is None else {field: value})
        held: dict[str, bytes] = self._store.change(key, dict)
        new = sum(name not in held for name in fields)
        held.update({name: _bytes(each) for name, each in fields.items()})
        return new

    def hget(self, key: str, field: str) -> bytes | None:
        held: dict[str, bytes] = self._store.find(key) or {}
        return held.get(field)

    def hmget(self, key: str, fields: list[str]) -> list[bytes | None]:
        return [self.hget(key, field) for field in fields]

    def hgetall(self, key: str) -> dict[bytes, bytes]:
        held: dict[str, bytes] = self._store.find(key) or {}
        return {field.encode(): value for field, value in held.items()}

    def hlen(self, key: str) -> int:
        return len(self._store.find(key) or {})

    def hincrby(self, key: str, field: str, amount: int = 1) -> int:
        held: dict[str, bytes] = self._store.change(key, dict)
        number = int(held.get(field, b"0")) + amount
        held[field] = b"%d" % number
        return number

    def hdel(self, key: str, *fields: str) -> int:
        if self._store.find(key) is None:
            return 0
        held: dict[str, bytes] = self._store.change(key, dict)
        found = [held.pop(field) for field in fields if field in held]
        if not held:
            self._store.drop(key)
        return len(found)

    def sadd(self, key: str, *members: str) -> int:
        held: dict[str, None] = self._store.change(key, dict)
        new = [member for member in members if member not in held]
        held.update(dict.fromkeys(new))
        return len(new)

    def srem(self, key: str, *members: str) -> int:
        return self.hdel(key, *members)

    def srandmember(self, key: str, number: int) -> list[bytes]:
        return [member.encode() for member in list(self._store.find(key) or {})[:number]]

    def zadd(self, key: str, mapping: Mapping[str, float]) -> int:
        held: dict[str, float] = self._store.change(key, dict)
        new = sum(name not in held for name in mapping)
        held.update(mapping)
        return new

    def zremrangebyscore(self, key: str, low: str, high: float) -> int:
        del low
        held: dict[str, float] = self._store.find(key) or {}
        gone = [name for name, score in held.items() if score <= high]
        return self.hdel(key, *gone) if gone else 0

    def zcard(self, key: str) -> int:
        return len(self._store.find(key) or {})

    def llen(self, key: str) -> int:
        return len(self._store.find(key) or [])

    def lpush(self, key: str, *values: Any) -> int:
        held: list[Any] = self._store.change(key, list)
        for value in values:
            held.insert(0, _bytes(value))
        return len(held)

    def lrange(self, key: str, first: int, last: int) -> list[Any]:
        held: list[Any] = self._store.find(key) or []
        return held[first:] if last == -1 else held[first : last + 1]

    def lrem(self, key: str, count: int, value: Any) -> int:
        del count
        value = _bytes(value)
        held: list[Any] = self._store.find(key) or []
        if value not in held:
            return 0
        held = self._store.change(key, list)
        held.remove(value)
        if not held:
            self._store.drop(key)
        return 1

    def lmove(self, source: str, destination: str, _from: str = "RIGHT", _to: str = "LEFT") -> Any:
        if not self._store.find(source):
            return None
        held = self._store.change(source, list)
        value = held.pop()
        if not held:
            self._store.drop(source)
        self.lpush(destination, value)
        return value

    def script(self, digest: str, keys: list[str], args: list[Any]) -> Any:
        """Carry out one of the scripts that are known, by what it means."""
        return _SCRIPTS[digest](self, keys, args)

    def _release(self, keys: list[str], args: list[Any]) -> int:
        return self.delete(keys[0]) if self.get(keys[0]) == _bytes(args[0]) else 0

    def _reacquire(self, keys: list[str], args: list[Any]) -> int:
        if self.get(keys[0]) != _bytes(args[0]):
            return 0
        return int(self.expire(keys[0], float(args[1]) / 1000))

    def _renew(self, keys: list[str], args: list[Any]) -> list[int]:
        seconds, *tokens = args
        return [self._reacquire([key], [token, seconds]) for key, token in zip(keys, tokens, strict=True)]

    def _see(self, keys: list[str], args: list[Any]) -> int:
        known, digest, seconds, kept, kept_seconds = args
        if (self.hget(keys[0], LAST) or b"") != _bytes(known):
            return 0
        self.hdel(keys[0], LAST, WRITER)
        self.delete(keys[1])
        if digest:
            self.hset(keys[0], LAST, digest)
        self.expire(keys[0], seconds)
        if kept:
            self.set(keys[1], kept, ex=kept_seconds)
        return 1

    def _write(self, keys: list[str], args: list[Any]) -> bytes | None:
        seconds, field, number, *told = args
        before = self.hget(keys[0], field)
        over, told = told[: number or 0], told[number or 0 :]
        if before is not None and number != "" and before not in [_bytes(each) for each in over]:
            return before
        for key in keys[1:]:
            count, *told = told
            fields, told = told[: 2 * count], told[2 * count :]
            self.hset(key, mapping=dict(zip(fields[::2], fields[1::2], strict=True)))
            if seconds != "":
                self.expire(key, seconds)
        return before

    def _fetch(self, keys: list[str], args: list[Any]) -> list[bytes | None]:
        return [self.hget(key, field) for key, field in zip(keys, args, strict=True)]

    def _increment(self, keys: list[str], args: list[Any]) -> int:
        seconds, field = args
        number = self.hincrby(keys[0], field)
        self.expire(keys[0], seconds)
        return number

    def _add(self, keys: list[str], args: list[Any]) -> None:
        seconds, member = args
        self.sadd(keys[0], member)
        self.expire(keys[0], seconds)

    def _end_write(self, keys: list[str], args: list[Any]) -> int:
        field, begun, digest, writer, seconds, kept, kept_seconds = args
        announced = self.hget(keys[0], field)
        self.hdel(keys[0], field, begun)
        if announced is not None and announced != (self.hget(keys[0], LAST) or b""):
            return 0
        self.hset(keys[0], mapping={LAST: digest, WRITER: writer})
        self.expire(keys[0], seconds)
        self.delete(keys[1])
        if kept:
            self.set(keys[1], kept, ex=kept_seconds)
        return 1

    def _hand_over(self, keys: list[str], args: list[Any]) -> None:
        if self.lrem(keys[0], 1, args[0]):
            self.lpush(keys[1], args[0])

    def _drop_up_to_last(self, keys: list[str], args: list[Any]) -> None:
        listed, *fields = args
        if fields:
            self.hdel(keys[0], *fields)
        if not self.exists(keys[0]):
            self.hdel(keys[1], listed)


def _sha(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


_SCRIPTS: Final[dict[str, Callable[[Commands, list[str], list[Any]], Any]]] = {
    _sha(RedisLock.LUA_RELEASE_SCRIPT): Commands._release,
    # These two are never called: they are registered with the first.
    _sha(RedisLock.LUA_REACQUIRE_SCRIPT): Commands._reacquire,
    _sha(RedisLock.LUA_EXTEND_SCRIPT): Commands._reacquire,
    _sha(RENEWAL): Commands._renew,
    _sha(SEEN): Commands._see,
    _sha(WRITTEN): Commands._end_write,
    _sha(DROP_UP_TO_LAST): Commands._drop_up_to_last,
    _sha(ADD): Commands._add,
    _sha(WRITE): Commands._write,
    _sha(FETCH): Commands._fetch,
    _sha(INCREMENT): Commands._increment,
}


class Script:
    """What `register_script` returns."""

    def __init__(self, client: "Client", text: str) -> None:
        self._client = client
        self._sha = _sha(text)
        if self._sha not in _SCRIPTS:
            if _HANDOVER not in text:
                raise NotImplementedError("this script has no model")
            _SCRIPTS[self._sha] = Commands._hand_over

    def __call__(self, keys: list[str], args: list[Any], client: "Client | None" = None) -> Any:
        found = client or self._client
        return found.ask("script", keys[0], lambda: found.commands.script(self._sha, keys, args))


class Client:
    """`redis.Redis` in one process: every command is a step, and a pipeline is one step."""

    def __init__(self, scheduler: Scheduler, store: Store, prefix: str, patience: float) -> None:
        self.commands = Commands(store)
        self.connection_pool = SimpleNamespace(connection_kwargs={"host": "model", "port": 1, "db": 0})
        self._scheduler = scheduler
        self._store = store
        self._prefix = prefix
        self._patience = patience

    def ask(self, what: str, key: str, act: Callable[[], Any], kind: Kind | None = None) -> Any:
        """Do something at the server, as often as it takes until an answer comes; raises RedisConnectionError."""
        short = key.removeprefix(self._prefix)
        chosen = kind or (Kind.LOCK if short.startswith(("tag:", "written:", "run:")) else Kind.REDIS)

        def arrive() -> Any:
            if self._store.away_until > self._scheduler.now:
                raise Away
            found = act()
            self._store.told()
            return found

        while True:
            self._wait_until_there()
            try:
                return self._scheduler.call(f"{what} {short}", chosen, arrive, short)
            except (Away, LostAnswer):
                continue

    def pipeline(self, transaction: bool = True) -> "Pipeline":
        del transaction
        return Pipeline(self)

    def register_script(self, text: str) -> Script:
        return Script(self, text)

    def get_encoder(self) -> Any:
        return SimpleNamespace(encode=_bytes)

    def set(self, key: str, value: Any, **options: Any) -> bool | None:
        done: bool | None = self.ask("SET", key, lambda: self.commands.set(key, value, **options))
        self._scheduler.thread.asked_key = key if options.get("nx") and not done else None
        if options.get("nx") and done:
            self._store.holders[key] = self._scheduler.thread.process
        return done

    def blmove(self, source: str, destination: str, timeout: float, *_: str) -> Any:
        del timeout
        return self.ask("LMOVE", source, lambda: self.commands.lmove(source, destination))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        command = getattr(self.commands, name)

        def run(key: str, *args: Any, **options: Any) -> Any:
            return self.ask(name.upper(), key, lambda: command(key, *args, **options))

        return run

    def _wait_until_there(self) -> None:
        left = self._store.away_until - self._scheduler.now
        if left > self._patience:
            self._scheduler.sleep(self._patience)
            raise RedisConnectionError("connection refused")
        if left > 0:
            self._scheduler.sleep(left)


class Pipeline:
    """Commands that are sent together, and carried out one after the other."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._queued: list[tuple[str, str, Callable[[], Any]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._queued.clear()

    def __getattr__(self, name: str) -> Callable[..., None]:
        command = getattr(self._client.commands, name)

        def queue(key: str, *args: Any, **options: Any) -> None:
            self._queued.append((name, key, lambda: command(key, *args, **options)))

        return queue

    def execute(self) -> list[Any]:
        queued, self._queued = self._queued, []
        if not queued:
            return []
        what = "+".join(dict.fromkeys(name.upper() for name, _, _ in queued))
        return list(self._client.ask(what, queued[0][1], lambda: [act() for _, _, act in queued]))


class LeaseWaits:
    """Lets a thread that polls for a lease look when the lease may be free, instead of twenty times a second."""

    def __init__(self, scheduler: Scheduler, store: Store) -> None:
        self._scheduler = scheduler
        self._store = store
        store.on_freed = self._freed

    def sleep(self, seconds: float) -> None:
        """Sleep for a poll, or for as many polls as are in vain, at most for a second."""
        thread = self._scheduler.thread
        key, thread.asked_key = thread.asked_key, None
        if key is None or self._store.find(key) is None:
            self._scheduler.sleep(seconds)
            return
        started = self._scheduler.now
        ends = self._store.ends(key) or started + _SECOND
        waiting = self._store.watchers.setdefault(key, [])
        waiting.append(thread)
        try:
            self._scheduler.park(min(started + _SECOND, max(ends, started + seconds)))
        finally:
            waiting.remove(thread)
        polls = int((self._scheduler.now - started) / seconds) + 1
        self._scheduler.sleep(max(0.0, started + polls * seconds - self._scheduler.now))

    def _freed(self, key: str) -> None:
        for thread in self._store.watchers.get(key, ()):
            self._scheduler.wake(thread)


def _bytes(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value).encode()
    return value
