"""A TCP relay in front of the target that knows when its first byte came."""

import asyncio
import threading
import time

from . import machine


class Relay:
    """Passes connections on to a port of this machine, on a thread of its own; `port` is where to connect."""

    def __init__(self, target):
        self.target, self.port = target, machine.free_port()
        self.first = None

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        asyncio.run_coroutine_threadsafe(asyncio.start_server(self.carry, "127.0.0.1", self.port), self.loop).result()
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    def mark(self):
        """From now on the first byte for the target counts."""
        self.first = None

    async def carry(self, client, answer):
        server, ask = await asyncio.open_connection("127.0.0.1", self.target)
        await asyncio.gather(self.pump(client, ask, True), self.pump(server, answer, False), return_exceptions=True)

    async def pump(self, source, sink, counted):
        while chunk := await source.read(65536):
            if counted and self.first is None:
                self.first = time.monotonic()
            sink.write(chunk)
            await sink.drain()
        sink.close()
