"""A client of the PostgreSQL protocol, small enough to have a thousand of in one process."""

import asyncio
import re
import struct

from . import scram

HOLD = re.compile(rb"HLD-[0-9A-Z]{4,10}")


class Session:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port, user, database, password):
        """Logs in and waits until the session is ready."""
        self = cls(*await asyncio.open_connection("127.0.0.1", port))
        parameters = f"user\0{user}\0database\0{database}\0\0".encode()
        self.writer.write(struct.pack("!ii", len(parameters) + 8, 0x0003_0000) + parameters)
        bare = ""
        while True:
            tag, body = await self.message()
            if tag == b"R" and (code := struct.unpack("!i", body[:4])[0]):
                if code == 10:
                    bare, first = scram.client_first()
                    self.send(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first)
                elif code == 11:
                    self.send(b"p", scram.client_final(password, bare, body[4:]))
            elif tag == b"Z":
                return self

    def send(self, tag, body):
        self.writer.write(tag + struct.pack("!i", len(body) + 4) + body)

    async def message(self):
        tag, length = struct.unpack("!ci", await self.reader.readexactly(5))
        body = await self.reader.readexactly(length - 4)
        if tag == b"E":
            raise SystemExit(f"bench: the session got an error: {readable(body)}")
        return tag, body

    def query(self, sql):
        self.send(b"Q", sql.encode() + b"\0")

    async def held(self):
        """Waits for the notice that names the hold; returns its id."""
        while True:
            tag, body = await self.message()
            if tag == b"N" and (found := HOLD.search(body)):
                return found[0].decode()
            if tag == b"Z":
                raise SystemExit("bench: the statement was not held")

    async def finished(self):
        while (await self.message())[0] != b"Z":
            pass

    def close(self):
        self.writer.write(b"X\0\0\0\4")
        self.writer.close()


def readable(body):
    return "; ".join(field.decode(errors="replace") for field in body.split(b"\0") if field)
