"""Slack's own Python SDK against the stand-in: Web API, retry handlers, signatures, Socket Mode."""

import http.server
import threading

from double import ANN, BOB, CARD, CHANNEL, INFO, MODAL, check, fault, get, tell, until
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_handlers import (
    ConnectionErrorRetryHandler,
    RateLimitErrorRetryHandler,
    ServerErrorRetryHandler,
)
from slack_sdk.signature import SignatureVerifier
from slack_sdk.socket_mode import SocketModeClient
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.webhook import WebhookClient

client = WebClient(token=INFO["bot_token"], base_url=INFO["api_url"], timeout=10)


def refused(code, call, **args):
    try:
        call(**args)
    except SlackApiError as error:
        check(f"{code} is raised", error.response["error"] == code)
        return error.response
    raise AssertionError(f"{code} was expected")


def web_api():
    me = client.auth_test()
    check("auth.test names the bot", me["user_id"] == INFO["workspace"]["bot_user"])
    metadata = {"event_type": "abeyance_hold", "event_payload": {"hold": "HLD-7K3Q"}}
    posted = client.chat_postMessage(channel=CHANNEL, text="held", blocks=CARD, metadata=metadata)
    check("a message is posted", posted["message"]["blocks"][2]["block_id"] == "buttons")
    edited = client.chat_update(channel=CHANNEL, ts=posted["ts"], text="approved", blocks=CARD[:2])
    check("it is edited", edited["text"] == "approved" and len(edited["message"]["blocks"]) == 2)
    history = client.conversations_history(channel=CHANNEL, include_all_metadata=True, limit=5)
    check("history has the metadata", history["messages"][0]["metadata"]["event_payload"]["hold"] == "HLD-7K3Q")
    client.chat_postEphemeral(channel=CHANNEL, user=ANN, text="only you")
    check("a whisper is heard", get("ephemerals", channel=CHANNEL, user=ANN)[0]["text"] == "only you")
    check("people are found", client.users_lookupByEmail(email="ann@clinic.example")["user"]["id"] == ANN)
    check("groups are listed", ANN in client.usergroups_list(include_users=True)["usergroups"][0]["users"])
    check("groups are counted", ANN in client.usergroups_users_list(usergroup="S0DBA00001")["users"])
    client.chat_delete(channel=CHANNEL, ts=posted["ts"])
    check("it is deleted", get("messages", channel=CHANNEL) == [])

    refused("channel_not_found", client.chat_postMessage, channel="C0NOWHERE", text="x")
    refused("not_in_channel", client.chat_postMessage, channel="C0NOBOT01", text="x")
    answer = refused("invalid_blocks", client.chat_postMessage, channel=CHANNEL, text="x", blocks=[{"type": "bogus"}])
    check("the answer says where", "/blocks/0/type" in answer["response_metadata"]["messages"][0])
    refused("message_not_found", client.chat_update, channel=CHANNEL, ts="1.000001", text="x")
    wrong = WebClient(token="xoxb-wrong", base_url=INFO["api_url"])
    refused("invalid_auth", wrong.auth_test)


def people():
    """Direct messages with a card, and a group that follows whoever is on call."""
    opened = client.conversations_open(users=ANN)
    place = opened["channel"]["id"]
    check("direct messages have a place", opened["ok"] and place.startswith("D"))
    check("it is always the same", client.conversations_open(users=ANN)["channel"]["id"] == place)
    metadata = {"event_type": "abeyance_hold", "event_payload": {"hold": "HLD-7K3Q"}}
    posted = client.chat_postMessage(channel=place, text="held", blocks=CARD, metadata=metadata)
    check("a card comes there", posted["channel"] == place and get("messages", channel=place)[0]["blocks"])
    edited = client.chat_update(channel=place, ts=posted["ts"], text="approved", blocks=CARD[:2])
    check("and follows", edited["channel"] == place and get("messages", channel=place)[0]["edits"] == 1)
    history = client.conversations_history(channel=place, include_all_metadata=True)
    check("and is found again", history["messages"][0]["metadata"]["event_payload"]["hold"] == "HLD-7K3Q")
    refused("user_not_found", client.conversations_open, users="U0NOWHERE")

    group = client.usergroups_users_update(usergroup="S0DBA00001", users=[BOB])["usergroup"]
    check("a group has new users", group["id"] == "S0DBA00001" and group["users"] == [BOB])
    check("and keeps them", client.usergroups_users_list(usergroup="S0DBA00001")["users"] == [BOB])
    client.usergroups_users_update(usergroup="S0DBA00001", users=[ANN, BOB])
    refused("no_such_subteam", client.usergroups_users_update, usergroup="S0NOWHERE", users=[BOB])


def retries():
    patient = WebClient(token=INFO["bot_token"], base_url=INFO["api_url"], timeout=10)
    patient.retry_handlers = [
        ConnectionErrorRetryHandler(max_retry_count=1),
        RateLimitErrorRetryHandler(max_retry_count=1),
        ServerErrorRetryHandler(max_retry_count=1),
    ]
    for kind in (
        {"type": "rate_limited", "retry_after_secs": 1},
        {"type": "status", "status": 503},
        {"type": "drop_request"},
    ):
        tell("reset")
        fault("chat.postMessage", **kind)
        patient.chat_postMessage(channel=CHANNEL, text="again")
        check(f"the SDK tries again after {kind['type']}", len(get("messages", channel=CHANNEL)) == 1)
    tell("reset")
    fault("chat.postMessage", type="drop_response")
    patient.chat_postMessage(channel=CHANNEL, text="twice")
    check("a blind retry of a post in doubt posts twice", len(get("messages", channel=CHANNEL)) == 2)
    tell("reset")


def signatures():
    verifier = SignatureVerifier(INFO["signing_secret"])
    verdicts = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            verdicts.append(verifier.is_valid_request(body, headers))
            self.send_response(200 if verdicts[-1] else 401)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    tell("interactivity", mode="http", request_url=f"http://127.0.0.1:{server.server_port}/")
    ts = client.chat_postMessage(channel=CHANNEL, text="held", blocks=CARD)["ts"]
    target = {"user": ANN, "channel": CHANNEL, "ts": ts, "action_id": "approve"}
    check("a real click is accepted", tell("click", **target)["outcome"]["type"] == "acked")
    check("the SDK verified it", verdicts == [True])
    for kind, more in (
        ("bad_signature", {}),
        ("no_signature", {}),
        ("no_timestamp", {}),
        ("wrong_secret", {}),
        ("tampered_body", {}),
        ("old_timestamp", {"age_secs": 301}),
    ):
        check(f"the SDK refuses {kind}", tell("forge", kind=kind, **target, **more)["status"] == 401)
    tell("interactivity", mode="socket")
    server.shutdown()


def socket_mode():
    requests = []

    def heard(socket, request):
        requests.append(request)
        payload = None
        if request.type == "interactive" and request.payload["type"] == "view_submission":
            payload = {"response_action": "errors", "errors": {"reason": "Say more"}}
        if request.type == "slash_commands":
            payload = {"text": f"you said {request.payload['text']}"}
        socket.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id, payload=payload))
        if request.type == "interactive" and request.payload["type"] == "block_actions":
            client.views_open(trigger_id=request.payload["trigger_id"], view=MODAL)

    socket = SocketModeClient(app_token=INFO["app_token"], web_client=client, ping_interval=1)
    socket.socket_mode_request_listeners.append(heard)
    socket.connect()
    ts = client.chat_postMessage(channel=CHANNEL, text="held", blocks=CARD)["ts"]
    delivery = tell("click", user=ANN, channel=CHANNEL, ts=ts, action_id="deny")
    check("the click is acknowledged", delivery["outcome"]["type"] == "acked" and delivery["via"] == "socket")
    check("the SDK parsed the envelope", requests[0].payload["actions"][0]["action_id"] == "deny")
    view = until("the modal", lambda: get("views", user=ANN))[0]
    check("the modal opened", view["view"]["callback_id"] == "deny_reason")
    values = {"reason": {"reason": "x"}}
    tell("submit_view", user=ANN, view_id=view["id"], values=values)
    check("the answer to a submission is shown", get("views", user=ANN)[0]["errors"] == {"reason": "Say more"})
    tell("command", user=ANN, channel=CHANNEL, command="/abeyance", text="list")
    envelope = requests[-1]
    check("a command is an envelope of its own", envelope.type == "slash_commands" and envelope.accepts_response_payload)
    whole = {"token", "team_id", "team_domain", "channel_id", "channel_name", "user_id", "user_name", "command", "text",
             "api_app_id", "is_enterprise_install", "response_url", "trigger_id"}
    check("it has the fields Slack documents", set(envelope.payload) == whole)
    check("a command is answered", get("ephemerals", channel=CHANNEL, user=ANN)[-1]["text"] == "you said list")

    place = next(one["name"] for one in INFO["workspace"]["channels"] if one["id"] == CHANNEL)
    tell("command", user=ANN, channel=CHANNEL, command="/abeyance", text=f"ask @bob in #{place} <now> & here")
    escaped = f"ask <@{BOB}|bob> in <#{CHANNEL}|{place}> &lt;now&gt; &amp; here"
    check("people and characters are escaped", requests[-1].payload["text"] == escaped)
    late = WebhookClient(requests[-1].payload["response_url"])
    answer = late.send(text="later", response_type="ephemeral", replace_original=False, blocks=CARD[:2])
    check("a command is answered later, with blocks", answer.status_code == 200)
    whisper = get("ephemerals", channel=CHANNEL, user=ANN)[-1]
    check("to that person alone", whisper["text"] == "later" and len(whisper["blocks"]) == 2)

    tell("sockets/disconnect", reason="refresh_requested")
    until("the new connection", lambda: [one["id"] for one in get("sockets")] not in ([], [1]))
    delivery = tell("click", user=ANN, channel=CHANNEL, ts=ts, action_id="approve")
    check("the SDK came back after refresh_requested", delivery["outcome"]["type"] == "acked")
    socket.close()


web_api()
people()
retries()
signatures()
socket_mode()
