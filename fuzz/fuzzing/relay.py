"""Stands between psql and the server, reads every query string first, and gives the certain reads to a read-only transaction."""

import contextlib
import re
import socket
import struct
import threading

from . import reader, wire

READ_ONLY = "25006"


class Relay:
    """A context manager with `port`. `records` gets one entry for each query string that went by."""

    user = "scratch"

    def __init__(self, server, analyser, records, catalog=False):
        self.server, self.analyser, self.records, self.lock = server, analyser, records, threading.Lock()
        self.place, self.load_sql, self.seen_by, self.loads = "", reader.load_sql() if catalog else None, None, 0

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        # Only a shutdown wakes the thread in accept().
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with contextlib.suppress(EOFError, OSError), client, socket.create_connection(("127.0.0.1", self.server.port)) as upstream:
            Session(self, client, upstream).run()

    def analyse(self, sql, standard_strings):
        with self.lock:
            return self.analyser.read(sql, standard_strings)


class Session:
    """One psql. The server's answers are read to ReadyForQuery before the next message of psql's is."""

    def __init__(self, relay, client, upstream):
        self.relay, self.client, self.upstream = relay, client, upstream
        self.from_client, self.from_server = client.makefile("rb"), upstream.makefile("rb")
        self.status, self.standard_strings, self.stirred = "I", True, True

    def run(self):
        while True:
            length = struct.unpack("!i", self.from_client.read(4))[0]
            packet = self.from_client.read(length - 4)
            code = struct.unpack("!i", packet[:4])[0]
            if code in (80877103, 80877104):
                self.client.sendall(b"N")
                continue
            self.upstream.sendall(struct.pack("!i", length) + packet)
            if code == 80877102:
                return
            break
        self.answer()
        while True:
            tag, body = wire.read_message(self.from_client)
            if tag != b"Q":
                self.upstream.sendall(wire.message(tag, body))
                if tag == b"X":
                    return
                # \gdesc prepares a statement and asks what it gives.
                if tag == b"S":
                    self.answer()
                continue
            self.query(body[:-1])

    def query(self, sql):
        statements, micros, certain = self.read(sql)
        record = {"at": self.relay.place, "sql": sql.decode("utf8", "replace"), "statements": statements, "micros": micros, "certain": certain}
        self.relay.records.append(record)
        if not certain or self.status == "E":
            record["sqlstate"] = self.plain(sql)
        elif self.status == "I":
            record["sqlstate"], record["ran"] = self.in_own_transaction(sql), True
        else:
            record["sqlstate"], record["ran"] = self.in_savepoint(sql), True
        # What only reads or writes rows leaves the catalog as it is.
        self.stirred |= not certain and any(set(facts["classes"]) - {"read", "write"} for facts in statements)

    def read(self, sql):
        """Analyses one string; with the catalog as this session sees it, where that is asked for."""
        relay = self.relay
        statements, micros = relay.analyse(sql, self.standard_strings)
        reads = any(facts["class"] in ("read", "unvouched") for facts in statements)
        if relay.load_sql is None or not reads or self.status == "E":
            return statements, micros, relay.load_sql is None and reader.is_certain_read(statements)
        if self.stirred or relay.seen_by is not self:
            catalog = self.catalog()
            if catalog is None:
                return statements, micros, False
            relay.analyser.see(catalog)
            relay.seen_by, self.stirred = self, False
            statements, micros = relay.analyse(sql, self.standard_strings)
        return statements, micros, reader.is_certain_read(statements)

    def catalog(self):
        """The catalog, uncommitted changes and temporary relations and all; None when the server does not give it."""
        begin, load, end = self.relay.load_sql
        if self.status == "T":
            begin, end = "SAVEPOINT catalog_fuzz;" + begin.partition(";")[2], "ROLLBACK TO catalog_fuzz; RELEASE catalog_fuzz"
        self.quietly(begin)
        rows = self.quietly(load)
        self.quietly(end)
        self.relay.loads += 1
        return rows[0].encode() if len(rows) == 1 and rows[0] else None

    def plain(self, sql):
        self.upstream.sendall(wire.message(b"Q", wire.text(sql)))
        return self.answer()

    def in_own_transaction(self, sql):
        self.quietly("BEGIN READ ONLY; SET LOCAL statement_timeout = '60s'")
        self.upstream.sendall(wire.message(b"Q", wire.text(sql)))
        state = self.answer(ends_as=b"I", hold=True)
        self.quietly("COMMIT")
        self.client.sendall(wire.message(b"Z", b"I"))
        return state

    def in_savepoint(self, sql):
        self.quietly("SAVEPOINT read_only_fuzz; SET LOCAL transaction_read_only = on")
        self.upstream.sendall(wire.message(b"Q", wire.text(sql)))
        state = self.answer(hold=True)
        if state is None:
            self.quietly("ROLLBACK TO read_only_fuzz; RELEASE read_only_fuzz")
        self.client.sendall(wire.message(b"Z", self.status.encode()))
        return state

    def quietly(self, sql):
        """Runs something of our own; gives the first value of each row."""
        self.upstream.sendall(wire.message(b"Q", wire.text(sql)))
        rows = []
        while True:
            tag, body = wire.read_message(self.from_server)
            if tag == b"D":
                rows.append(next(wire.values(body), None))
            elif tag == b"Z":
                self.status = body.decode()
                return rows

    def answer(self, ends_as=None, hold=False):
        """Passes the answer on to its end; returns the first SQLSTATE. With `hold`, ReadyForQuery stays here."""
        state = None
        while True:
            tag, body = wire.read_message(self.from_server)
            if tag == b"E" and state is None:
                state = wire.error_fields(body)["C"]
            elif tag == b"S" and body.startswith(b"standard_conforming_strings\0"):
                self.standard_strings = body.endswith(b"\0on\0")
            elif tag == b"Z":
                self.status = body.decode()
                if not hold:
                    self.client.sendall(wire.message(tag, body))
                return state
            self.client.sendall(wire.message(tag, body))
            if tag == b"G":
                self.copy_in()

    def copy_in(self):
        while True:
            tag, body = wire.read_message(self.from_client)
            self.upstream.sendall(wire.message(tag, body))
            if tag in (b"c", b"f"):
                return


def place_of(path, tree):
    return re.sub(r"\.sql$", "", str(path.relative_to(tree)))
