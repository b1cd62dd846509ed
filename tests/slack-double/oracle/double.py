"""The stand-in's controls, for the scripts beside this one. `DOUBLE` holds the JSON of `/_test/info`."""

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request

INFO = json.loads(os.environ["DOUBLE"])
ANN, BOB, CHANNEL = "U0ANN0001", "U0BOB0001", "C0DBA0001"
# Slack is on this machine here: no proxy on the way.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(path, **query):
    url = f"{INFO['origin']}/_test/{path}?{urllib.parse.urlencode(query)}"
    return json.load(OPENER.open(url, timeout=20))


def tell(path, **body):
    request = urllib.request.Request(
        f"{INFO['origin']}/_test/{path}", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    return json.load(OPENER.open(request, timeout=20))


def fault(method, times=1, **kind):
    tell("fault", method=method, times=times, kind=kind)


def until(what, look, seconds=15):
    """Asks `look` until it answers something true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come in {seconds} s")


def check(what, good):
    if not good:
        raise AssertionError(what)
    print(f"ok: {what}", flush=True)


def plain(text):
    return {"type": "plain_text", "text": text}


CARD = [
    {"type": "header", "text": plain("Statement held")},
    {"type": "section", "text": {"type": "mrkdwn", "text": "*HLD-7K3Q* waits"}},
    {
        "type": "actions",
        "block_id": "buttons",
        "elements": [
            {"type": "button", "action_id": "approve", "text": plain("Approve"), "value": "HLD-7K3Q", "style": "primary"},
            {"type": "button", "action_id": "deny", "text": plain("Deny"), "value": "HLD-7K3Q", "style": "danger"},
        ],
    },
]

MODAL = {
    "type": "modal",
    "callback_id": "deny_reason",
    "title": plain("Deny"),
    "submit": plain("Deny"),
    "close": plain("Back"),
    "private_metadata": "HLD-7K3Q",
    "blocks": [
        {
            "type": "input",
            "block_id": "reason",
            "label": plain("Reason"),
            "element": {"type": "plain_text_input", "action_id": "reason", "multiline": True, "max_length": 500},
        }
    ],
}
