"""An app made with Slack's own framework: a click, a modal and a command, over HTTP and over Socket Mode."""

import logging
import socket
import threading

from double import ANN, CARD, CHANNEL, INFO, MODAL, check, get, tell, until
from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_bolt.app.app import SlackAppDevelopmentServer
from slack_sdk import WebClient

logging.disable(logging.WARNING)


def app():
    client = WebClient(token=INFO["bot_token"], base_url=INFO["api_url"])
    bolt = App(client=client, signing_secret=INFO["signing_secret"])

    @bolt.action("approve")
    def approve(ack, body, client, respond):
        ack()
        client.chat_update(channel=body["channel"]["id"], ts=body["message"]["ts"], text="approved", blocks=CARD[:2])
        respond(text="thank you", response_type="ephemeral", replace_original=False)

    @bolt.action("deny")
    def deny(ack, body, client):
        ack()
        client.views_open(trigger_id=body["trigger_id"], view=MODAL)

    @bolt.view("deny_reason")
    def reason(ack, view):
        said = view["state"]["values"]["reason"]["reason"]["value"]
        if said == "x":
            ack(response_action="errors", errors={"reason": "Say more"})
        else:
            ack()
            client.chat_postMessage(channel=CHANNEL, text=f"denied: {said}")

    @bolt.command("/abeyance")
    def command(ack, body):
        ack(f"you said {body['text']}")

    return bolt, client


def story(client, via):
    tell("reset")
    ts = client.chat_postMessage(channel=CHANNEL, text="held", blocks=CARD)["ts"]
    wish = {"user": ANN, "channel": CHANNEL, "ts": ts}
    delivery = tell("click", **wish, action_id="approve")
    check(f"{via}: the app acknowledged", delivery["outcome"]["type"] == "acked" and delivery["via"] == via)
    until("the edit", lambda: get("message", channel=CHANNEL, ts=ts)["text"] == "approved")
    until("the thanks", lambda: [one["text"] for one in get("ephemerals", channel=CHANNEL, user=ANN)] == ["thank you"])
    check(f"{via}: the card was edited and the click answered", True)

    ts = client.chat_postMessage(channel=CHANNEL, text="held", blocks=CARD)["ts"]
    tell("click", user=ANN, channel=CHANNEL, ts=ts, action_id="deny")
    view = until("the modal", lambda: get("views", user=ANN))[0]
    tell("submit_view", user=ANN, view_id=view["id"], values={"reason": {"reason": "x"}})
    check(f"{via}: the modal shows the error", get("views", user=ANN)[0]["errors"] == {"reason": "Say more"})
    tell("submit_view", user=ANN, view_id=view["id"], values={"reason": {"reason": "too broad"}})
    check(f"{via}: the modal closed", get("views", user=ANN) == [])
    until("the denial", lambda: get("messages", channel=CHANNEL)[-1]["text"] == "denied: too broad")
    tell("command", user=ANN, channel=CHANNEL, command="/abeyance", text="list")
    check(f"{via}: the command was answered", get("ephemerals", channel=CHANNEL, user=ANN)[-1]["text"] == "you said list")


def over_http():
    bolt, client = app()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = SlackAppDevelopmentServer(port, "/slack/events", bolt, http_server_logger_enabled=False)
    threading.Thread(target=server.start, daemon=True).start()

    def listening():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    until("the app", listening)
    tell("interactivity", mode="http", request_url=f"http://127.0.0.1:{port}/slack/events")
    story(client, "http")
    ts = client.chat_postMessage(channel=CHANNEL, text="held", blocks=CARD)["ts"]
    target = {"user": ANN, "channel": CHANNEL, "ts": ts, "action_id": "approve"}
    check("http: the app refuses a forged click", tell("forge", kind="bad_signature", **target)["status"] == 401)


def over_socket_mode():
    bolt, client = app()
    tell("interactivity", mode="socket")
    handler = SocketModeHandler(bolt, INFO["app_token"])
    handler.connect()
    until("the connection", lambda: get("sockets"))
    story(client, "socket")
    handler.close()


over_http()
over_socket_mode()
