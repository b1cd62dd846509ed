"""A client of the PostgreSQL protocol, small enough to have a thousand of in one process."""

import asyncio
import re
import struct

from . import scram

HOLD = re.compile(rb"HLD-[0-9A-Z]{4,10}")


class Refused(Exception):
    """The server's error."""


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

    async def run(self, sql, params=None, copied=b""):
        """Runs a statement to its end: (command tags, rows as lists of text), or raises `Refused`. COPY FROM STDIN gets `copied`."""
        self.query(sql) if params is None else self.execute(sql, params)
        return await self.rest(copied)

    async def rest(self, copied=b""):
        """What comes until the session is ready again."""
        tags, rows, refused = [], [], None
        while True:
            tag, length = struct.unpack("!ci", await self.reader.readexactly(5))
            body = await self.reader.readexactly(length - 4)
            if tag == b"C":
                tags.append(body[:-1].decode())
            elif tag == b"D":
                rows.append(fields(body))
            elif tag == b"G":
                self.send(b"d", copied)
                self.send(b"c", b"")
            elif tag == b"E":
                refused = refused or Refused(readable(body))
            elif tag == b"Z":
                if refused:
                    raise refused
                return tags, rows

    def execute(self, sql, params):
        """Sends a statement with values as text, of the types the server finds."""
        values = b"".join(struct.pack("!i", len(value)) + value for value in (str(param).encode() for param in params))
        self.send(b"P", b"\0" + sql.encode() + b"\0\0\0")
        self.send(b"B", b"\0\0\0\0" + struct.pack("!h", len(params)) + values + b"\0\0")
        self.send(b"E", b"\0\0\0\0\0")
        self.send(b"S", b"")

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


def fields(body):
    """The columns of a DataRow as text; None for NULL."""
    out, at = [], 2
    for _ in range(struct.unpack("!h", body[:2])[0]):
        length = struct.unpack("!i", body[at:at + 4])[0]
        at += 4
        out.append(None if length < 0 else body[at:at + length].decode())
        at += max(length, 0)
    return out


def readable(body):
    return "; ".join(field.decode(errors="replace") for field in body.split(b"\0") if field)
