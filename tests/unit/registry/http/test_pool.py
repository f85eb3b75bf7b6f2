"""Idle connections."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tasks.registry.http.connection import Connection
from tasks.registry.http.pool import Pool
from tasks.registry.http.route import route_to


@contextmanager
def connection(origin: str = "http://a.example") -> Iterator[tuple[Connection, socket.socket]]:
    """Yield an open connection and its other end."""
    here, there = socket.socketpair()
    made = Connection(route_to(origin), lambda *_: None, None, None, 1.0)
    made.sock = here
    with there, here:
        yield made, there


def test_the_connection_that_ended_last_serves_next() -> None:
    pool = Pool()
    with connection() as (first, _), connection() as (second, _):
        pool.put("http://a.example", first, 0)
        pool.put("http://a.example", second, 0)
        assert pool.take("http://b.example") is None
        assert [pool.take("http://a.example") for _ in range(3)] == [second, first, None]


@pytest.mark.parametrize("event", ["closed", "sent something"])
def test_a_connection_on_which_something_happened_serves_no_more(event: str) -> None:
    """8.4: what follows the declared end of an answer is no part of the next one."""
    pool = Pool()
    with connection() as (made, there):
        pool.put("http://a.example", made, 0)
        if event == "closed":
            there.close()
        else:
            there.sendall(b"HTTP/1.1 200 OK\r\n")
        assert pool.take("http://a.example") is None
        assert made.sock is None


def test_connections_to_the_hosts_that_were_asked_longest_ago_are_closed() -> None:
    pool = Pool()
    with connection() as (oldest, _), connection() as (kept, _):
        pool.put("http://0.example", kept, 0)
        pool.put("http://oldest.example", oldest, 0)
        for number in range(9):
            with connection() as (other, _):
                pool.put("http://0.example", pool.take("http://0.example") or kept, 0)
                pool.put(f"http://other-{number}.example", other, 0)
        assert oldest.sock is None
        assert pool.take("http://0.example") is kept


def test_a_connection_that_was_busy_when_the_pool_was_closed_is_closed_at_its_end() -> None:
    pool = Pool()
    with connection() as (idle, _), connection() as (busy, _), connection() as (later, _):
        pool.put("http://a.example", idle, pool.generation)
        before = pool.generation
        pool.close()
        assert idle.sock is None
        pool.put("http://a.example", busy, before)
        assert busy.sock is None
        pool.put("http://a.example", later, pool.generation)
        assert pool.take("http://a.example") is later
