"""A person at the console: logs in with their token and approves."""

import asyncio
import http.client
import queue
import re
import urllib.parse

CSRF = re.compile(r'name="csrf" value="([^"]+)"')


class Reviewer:
    by = "the console's HTTP form"

    def __init__(self, console, cookie, csrf):
        self.console, self.cookie, self.csrf = console, cookie, csrf
        # Connections that are open and free; as many as there are approvals at once.
        self.free = queue.SimpleQueue()

    @classmethod
    async def log_in(cls, console, token):
        return await asyncio.to_thread(cls.log_in_now, console, token)

    @classmethod
    def log_in_now(cls, console, token):
        self = cls(console, None, None)
        status, headers, _ = self.call("POST", "/login", {"token": token})
        if status != 303:
            raise SystemExit(f"bench: the console refused the log-in: {status}")
        self.cookie = headers["set-cookie"].partition(";")[0]
        self.csrf = CSRF.search(self.call("GET", "/holds")[2])[1]
        return self

    async def approve(self, hold):
        await asyncio.to_thread(self.approve_now, hold)

    def approve_now(self, hold):
        form = {"csrf": self.csrf, "decision": "approve", "reason": ""}
        status, _, page = self.call("POST", f"/holds/{hold}/decision", form)
        if status != 303:
            raise SystemExit(f"bench: {hold} was not approved: {status}\n{page[:2000]}")

    def call(self, method, path, form=None):
        """Status, headers and text of an answer; redirects are not followed."""
        try:
            connection = self.free.get_nowait()
        except queue.Empty:
            connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.console).netloc, timeout=60)
        headers = {"Origin": self.console, "Content-Type": "application/x-www-form-urlencoded"}
        if self.cookie:
            headers["Cookie"] = self.cookie
        connection.request(method, path, urllib.parse.urlencode(form) if form else None, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        self.free.put(connection)
        return answer.status, answer.headers, text
