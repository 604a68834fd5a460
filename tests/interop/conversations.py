"""Conversation webhooks and event streams with the vendor's SDK and a stock EventSource client."""

import hashlib
import hmac
import http.server
import json
import os
import socket
import subprocess
import threading
import time

import requests
from elevenlabs import ElevenLabs
from sseclient import SSEClient

SECRET = "wsec_interop_0123456789abcdef01234567"
EVENTS = "/api/webhooks/elevenlabs/conversation-events"


def sign(body, at=None):
    at = int(time.time()) if at is None else at
    mac = hmac.new(SECRET.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v0={mac}"


def tell(backend, kind, conversation, lead=None, **more):
    data = {"conversation_id": conversation, **more}
    if lead:
        data["conversation_initiation_client_data"] = {"dynamic_variables": {"lead_id": lead}}
    body = json.dumps({"type": kind, "event_timestamp": time.time(), "data": data}).encode()
    answer = requests.post(backend.url + EVENTS, data=body, timeout=10,
                           headers={"ElevenLabs-Signature": sign(body)})
    assert answer.status_code == 200, answer.text


class Stream:
    """One EventSource: iterates over its events in a thread."""

    def __init__(self, backend, lead, last=None):
        headers = {"Authorization": "Bearer " + backend.token, "Accept": "text/event-stream"}
        if last:
            headers["Last-Event-ID"] = last
        self.response = requests.get(f"{backend.url}/api/stream/conversation/{lead}",
                                     headers=headers, stream=True, timeout=30)
        assert self.response.status_code == 200, self.response.text
        self.events, self.last = [], last
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        try:
            for event in SSEClient(self.response).events():
                if event.id:
                    self.last = event.id
                self.events.append(json.loads(event.data))
        except Exception:  # closed by us
            pass

    def said(self):
        return [event["message"] for event in self.events if event["type"].startswith("voice_")]

    def close(self):
        """Goes away like a browser that lost its network; whatever had come is in `events`."""
        # A close alone waits for the reader, and that for the next heartbeat.
        self.response.raw._fp.fp.raw._sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(20)
        self.response.close()


def test_our_signature_is_the_vendors(backend):
    """`wallboard trigger` signs so that the official SDK accepts it, and refuses what was changed."""
    seen = {}

    class Catch(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            seen["body"] = self.rfile.read(int(self.headers["content-length"]))
            seen["signature"] = self.headers["elevenlabs-signature"]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Catch)
    threading.Thread(target=server.handle_request, daemon=True).start()
    env = {**os.environ, "HOME": backend.dir,
           "ELEVENLABS_CONVERSATION_EVENTS_WEBHOOK_SECRET": SECRET}
    done = subprocess.run(
        [backend.binary, "trigger", "elevenlabs.post-call", "--lead", "L1", "--url",
         f"http://127.0.0.1:{server.server_port}"],
        env=env, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    sdk = ElevenLabs(api_key="unused")
    event = sdk.webhooks.construct_event(seen["body"].decode(), seen["signature"], SECRET)
    kind = event["type"] if isinstance(event, dict) else event.type
    assert kind == "post_call_transcription", event
    try:
        sdk.webhooks.construct_event(seen["body"].decode() + " ", seen["signature"], SECRET)
    except Exception:
        return
    raise AssertionError("a changed body was accepted")


def test_an_event_source_reads_in_order_resumes_and_sees_its_lead_only(backend):
    mine, other = Stream(backend, "L-one"), Stream(backend, "L-two")
    tell(backend, "conversation_started", "conv_py1", "L-one")
    tell(backend, "conversation_started", "conv_py2", "L-two")
    for n in range(40):
        tell(backend, "user_message", "conv_py1", message=f"one {n}")
        tell(backend, "agent_message", "conv_py2", message=f"two {n}")
        if n == 15:
            backend.until(lambda: len(mine.said()) >= 10, "some of it came")
            mine.close()
            first, last = mine.said(), mine.last
    again = Stream(backend, "L-one", last)
    backend.until(lambda: len(first) + len(again.said()) >= 40, "the rest came", 10)
    assert first + again.said() == [f"one {n}" for n in range(40)], (first, again.said())
    backend.until(lambda: len(other.said()) >= 40, "the neighbour's came", 10)
    assert other.said() == [f"two {n}" for n in range(40)]
    leads = {event.get("leadId") for event in other.events if event["type"] != "heartbeat"}
    assert leads == {"L-two"}, leads
    again.close()
    other.close()
