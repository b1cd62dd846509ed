"""Just enough of PostgreSQL's protocol 3.0: framing, a log-in by trust, simple queries."""

import socket
import struct


def message(tag, body=b""):
    return tag + struct.pack("!i", len(body) + 4) + body


def text(value):
    return (value if isinstance(value, bytes) else value.encode()) + b"\0"


def startup(user, database, **settings):
    pairs = {"user": user, "database": database, **settings}
    body = b"".join(text(name) + text(value) for name, value in pairs.items()) + b"\0"
    return struct.pack("!ii", len(body) + 8, 0x0003_0000) + body


def read_message(stream):
    """(tag, body); raises EOFError at the end."""
    header = stream.read(5)
    if len(header) < 5:
        raise EOFError
    length = struct.unpack("!i", header[1:])[0] - 4
    body = stream.read(length)
    if len(body) < length:
        raise EOFError
    return header[:1], body


def error_fields(body):
    return {field[:1].decode(): field[1:].decode("utf8", "replace") for field in body.split(b"\0") if field}


class Reply:
    """What a simple query gave: each result's rows as text, errors by SQLSTATE, and what came beside."""

    def __init__(self):
        self.results, self.errors, self.notifications, self.tags, self.status = [], [], [], [], ""

    @property
    def rows(self):
        return self.results[-1] if self.results else []

    @property
    def sqlstate(self):
        return self.errors[0]["C"] if self.errors else None


class Client:
    """One connection."""

    def __init__(self, server, database, user=None, seconds=60, **settings):
        self.socket = socket.create_connection(("127.0.0.1", server.port))
        self.socket.settimeout(seconds)
        self.stream = self.socket.makefile("rb")
        self.socket.sendall(startup(user or server.user, database, **settings))
        self.gather()

    def close(self):
        # The stream holds the socket open too.
        self.stream.close()
        self.socket.close()

    def query(self, sql):
        self.socket.sendall(message(b"Q", text(sql)))
        return self.gather()

    def value(self, sql):
        """The one value that `sql` gives; fails on an error."""
        reply = self.query(sql)
        if reply.errors:
            raise SystemExit(f"fuzz: {sql}: {reply.errors[0]}")
        return reply.rows[-1][0] if reply.rows else None

    def gather(self):
        reply = Reply()
        while True:
            tag, body = read_message(self.stream)
            if tag == b"Z":
                reply.status = body.decode()
                return reply
            if tag == b"T":
                reply.results.append([])
            elif tag == b"D":
                reply.results[-1].append(list(values(body)))
            elif tag == b"C":
                reply.tags.append(body[:-1].decode())
            elif tag == b"E":
                reply.errors.append(error_fields(body))
            elif tag == b"A":
                reply.notifications.append(body[4:])
            elif tag == b"G":
                self.socket.sendall(message(b"f", text("no data")))


def values(body):
    count, at = struct.unpack("!h", body[:2])[0], 2
    for _ in range(count):
        length = struct.unpack("!i", body[at:at + 4])[0]
        at += 4
        yield None if length < 0 else body[at:at + length].decode("utf8", "replace")
        at += max(length, 0)
