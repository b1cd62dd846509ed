"""A person who approves through the approver's API, with their own token."""

import asyncio
import http.client
import json
import queue
import urllib.parse


class Reviewer:
    def __init__(self, approver, person, token):
        self.host = urllib.parse.urlsplit(approver).netloc
        self.person, self.token = person, token
        # Connections that are open and free; as many as there are approvals at once.
        self.free = queue.SimpleQueue()

    async def approve(self, hold):
        await asyncio.to_thread(self.decide, hold, "approve")

    async def deny(self, hold, reason):
        await asyncio.to_thread(self.decide, hold, "deny", reason)

    async def hold(self, hold):
        """A hold as the API shows it."""
        return json.loads(await asyncio.to_thread(self.call, f"/api/v1/holds/{hold}"))

    def decide(self, hold, decision, reason=None):
        self.call(f"/api/v1/holds/{hold}/decision", {
            "hold": hold, "claimant": {"by": "person", "id": self.person},
            "decision": decision, "reason": reason, "surface": "cli",
        })

    def call(self, path, body=None, more=None):
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **(more or {})}
        method, body = ("GET", None) if body is None else ("POST", json.dumps(body))
        while True:
            kept = not self.free.empty()
            connection = self.free.get_nowait() if kept else http.client.HTTPConnection(self.host, timeout=60)
            try:
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                break
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                # The approver closes connections that were idle.
                if not kept:
                    raise
        text = answer.read().decode()
        self.free.put(connection)
        if answer.status != 200:
            raise SystemExit(f"bench: {path} answered {answer.status}\n{text[:2000]}")
        return text
