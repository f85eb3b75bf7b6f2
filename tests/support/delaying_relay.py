"""The program behind `DelayingProxy`: `delaying_relay.py PORT ADDRESS:PORT MILLISECONDS`. The standard library only."""

import asyncio
import sys
from dataclasses import dataclass, field

PIECE = 1 << 18
# What may be on the way at once in one direction of a connection: 64 MiB, far more than any link holds in 100 ms.
PIECES_UNDER_WAY = 256


@dataclass
class _Lane:
    """One direction of one connection; a piece of None ends it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    delay: float
    opened_at: float
    under_way: asyncio.Queue[tuple[float, bytes | None]] = field(
        default_factory=lambda: asyncio.Queue(PIECES_UNDER_WAY)
    )

    async def run(self) -> None:
        async with asyncio.TaskGroup() as both:
            both.create_task(self._take())
            both.create_task(self._deliver())

    async def _take(self) -> None:
        clock = asyncio.get_running_loop().time
        piece: bytes | None = b""
        while piece is not None:
            piece = await self.reader.read(PIECE) or None
            await self.under_way.put((max(clock(), self.opened_at) + self.delay, piece))

    async def _deliver(self) -> None:
        clock = asyncio.get_running_loop().time
        piece: bytes | None = b""
        while piece is not None:
            due, piece = await self.under_way.get()
            await asyncio.sleep(max(0.0, due - clock()))
            if piece is not None:
                self.writer.write(piece)
                await self.writer.drain()
        self.writer.write_eof()


async def _relay(
    address: str, delay: float, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter
) -> None:
    try:
        reader, writer = await asyncio.open_connection(*address.rsplit(":", 1), limit=PIECE)
    except OSError:
        client_writer.transport.abort()
        return
    now = asyncio.get_running_loop().time()
    # The kernel has already told the client that it is connected: over a real link it would learn that, and begin to
    # send, one round trip later.
    upward = _Lane(client_reader, writer, delay, opened_at=now + 2 * delay)
    downward = _Lane(reader, client_writer, delay, opened_at=now)
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(upward.run())
            both.create_task(downward.run())
    except* OSError:
        # One end is gone: what the other one has still to get is of no use any more.
        for each in (writer, client_writer):
            each.transport.abort()
    for each in (writer, client_writer):
        each.close()


async def _serve(port: int, address: str, delay: float) -> None:
    server = await asyncio.start_server(
        lambda reader, writer: _relay(address, delay, reader, writer), "127.0.0.1", port, limit=PIECE, backlog=512
    )
    print("relaying", flush=True)  # noqa: T201 - the proxy waits for this line
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]) / 1000))
