"""A Plivo call on OpenAI Realtime through a running wallboard, held against both vendors' SDKs.

Webhooks and the stream's upgrade are signed by the official `plivo` package; what wallboard sends to
Plivo's REST API must be what that package's methods take; every message it sends to OpenAI must be
one of the official `openai` package's client events, and what the stand-in answers one of its server
events. All on loopback.

    python tests/interop/plivo_openai.py --binary target/debug/wallboard
"""

import argparse
import base64
import inspect
import json
import os
import pathlib
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ET
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import plivo
import requests
import websocket
from openai.types.realtime import RealtimeClientEventParam, RealtimeServerEvent
from plivo.utils import signature_v3
from pydantic import TypeAdapter
from websockets.sync.server import serve

AUTH_ID = "MA" + "X" * 18
TOKEN = "wallboard_interop_token_0123456789"
PUBLIC = "https://wb.example.com"
NUMBER, CUSTOMER = "15557650000", "15551230000"
FRAME = base64.b64encode(b"\x7f" * 160).decode()
CLIENT = TypeAdapter(RealtimeClientEventParam)
SERVER = TypeAdapter(RealtimeServerEvent)


def uuid(n):
    return f"11111111-2222-4333-8444-{n:012d}"


class OpenAi:
    """Judges every message and holds one conversation."""

    def __init__(self):
        self.said = queue.Queue()
        self.wrong = []
        self.headers = None
        self.socket = None
        self.server = serve(self.talk, "127.0.0.1", 0)
        self.url = "ws://127.0.0.1:%d/v1/realtime" % self.server.socket.getsockname()[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def tell(self, message):
        # The SDK insists on ids that the protocol always has.
        message = {"event_id": f"event_{time.monotonic_ns()}", **message}
        event = SERVER.validate_python(message)
        if event.type != message["type"]:
            self.wrong.append(f"the stand-in's own {message['type']}")
        self.socket.send(json.dumps(message))

    def talk(self, socket):
        self.socket, self.headers = socket, socket.request.headers
        self.tell({"type": "session.created", "session": {"type": "realtime", "id": "sess_1"}})
        for text in socket:
            message = json.loads(text)
            try:
                CLIENT.validate_python(message)
            except Exception as error:
                self.wrong.append(f"{message.get('type')}: {error}")
            if message["type"] == "session.update":
                session = {**message["session"], "id": "sess_1"}
                self.tell({"type": "session.updated", "session": session})
            if message["type"] != "input_audio_buffer.append":
                self.said.put(message)

    def wait(self, kind):
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                message = self.said.get(timeout=0.1)
            except queue.Empty:
                continue
            if message["type"] == kind:
                return message
        raise AssertionError(f"wallboard never said {kind}")

    def speak(self, seconds):
        item = {"type": "message", "id": "item_1", "role": "assistant", "status": "in_progress", "content": []}
        response = {"id": "resp_1", "object": "realtime.response", "status": "in_progress", "output": []}
        place = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
        self.tell({"type": "response.created", "response": response})
        self.tell({"type": "response.output_item.added", "response_id": "resp_1", "output_index": 0, "item": item})
        for word in ("Good", " morning", ", how", " can I", " help?"):
            self.tell({"type": "response.output_audio_transcript.delta", "delta": word, **place})
        for _ in range(int(seconds * 10)):
            audio = base64.b64encode(b"\x20" * 800).decode()
            self.tell({"type": "response.output_audio.delta", "delta": audio, **place})

    def interrupt(self):
        self.tell({"type": "input_audio_buffer.speech_started", "item_id": "item_2", "audio_start_ms": 900})
        response = {"id": "resp_1", "object": "realtime.response", "status": "cancelled", "output": [],
                    "status_details": {"type": "cancelled", "reason": "turn_detected"}}
        self.tell({"type": "response.done", "response": response})


class Rest:
    """Plivo's REST API, as strict as the SDK's method signatures."""

    def __init__(self):
        outer = self
        self.seen, self.wrong = [], []
        create = set(inspect.signature(plivo.resources.calls.Calls.create).parameters)
        known = {name.rstrip("_") for name in create} - {"self"}

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                length = int(self.headers.get("content-length") or 0)
                body = json.loads(self.rfile.read(length)) if length else {}
                outer.seen.append((self.command, self.path, body))
                basic = base64.b64encode(f"{AUTH_ID}:{TOKEN}".encode()).decode()
                if self.headers.get("authorization") != f"Basic {basic}":
                    outer.wrong.append(f"{self.path}: not the account's credentials")
                if not self.path.split("?")[0].endswith("/"):
                    outer.wrong.append(f"{self.path}: no slash at the end")
                if self.command == "POST" and self.path.endswith("/Call/"):
                    outer.wrong += [f"unknown parameter {name}" for name in set(body) - known]
                    outer.wrong += [f"missing {name}" for name in ("from", "to", "answer_url") if name not in body]
                    self.say(201, {"api_id": "a", "message": "call fired", "request_uuid": uuid(9)})
                elif self.command == "DELETE":
                    self.say(204, None)
                else:
                    self.say(200, {"api_id": "a", "calls": []})

            def say(self, status, body):
                text = b"" if body is None else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()


class Backend:
    def __init__(self, binary, openai, rest):
        self.dir = tempfile.mkdtemp(prefix="wallboard-interop-")
        env = {
            "PATH": os.environ["PATH"],
            "HOME": self.dir,
            "WALLBOARD_DATA__DIR": self.dir + "/data",
            "PUBLIC_URL": PUBLIC,
            "PLIVO_AUTH_ID": AUTH_ID,
            "PLIVO_AUTH_TOKEN": TOKEN,
            "PLIVO_PHONE_NUMBER": "+" + NUMBER,
            "WALLBOARD_PLIVO__API_BASE": rest.url,
            "OPENAI_API_KEY": "sk-interop",
            "WALLBOARD_OPENAI__REALTIME_URL": openai.url,
        }
        self.process = subprocess.Popen([str(pathlib.Path(binary).resolve()), "serve", "--listen", "127.0.0.1:0"], env=env, cwd=self.dir,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        self.printed = ""
        while "Attach: " not in self.printed:
            line = self.process.stdout.readline()
            assert line, "the backend ended: " + self.printed
            self.printed += line
        self.url = self.printed.split("wallboard serves on ")[1].split()[0]
        self.token = pathlib.Path(self.dir, "data", "token").read_text().strip()

    def call(self, call):
        answer = requests.get(f"{self.url}/api/calls/{call}", timeout=5,
                              headers={"Authorization": "Bearer " + self.token})
        body = answer.json() if answer.status_code == 200 else None
        return body and body.get("data", body).get("call", body.get("data", body))

    def until(self, condition, what):
        deadline = time.monotonic() + 8
        while time.monotonic() < deadline:
            result = condition()
            if result:
                return result
            time.sleep(0.05)
        raise AssertionError(f"never: {what}")

    def hook(self, path, form, method="POST", token=TOKEN, over=None):
        """A webhook as the SDK signs it."""
        url, nonce = over or PUBLIC + path, str(time.monotonic_ns())
        if method == "POST":
            base = signature_v3.construct_post_url(url, dict(form))
        else:
            base = signature_v3.construct_get_url(url, dict(form))
        signature = signature_v3.get_signature_v3(token, base, nonce).decode()
        headers = {"X-Plivo-Signature-V3": signature, "X-Plivo-Signature-V3-Nonce": nonce}
        where = {"data": form} if method == "POST" else {"params": form}
        return requests.request(method, self.url + path, headers=headers, timeout=5, **where)

    def stream(self, path, signed):
        headers = {}
        if signed:
            nonce = str(time.monotonic_ns())
            base = signature_v3.construct_get_url(PUBLIC.replace("https", "http") + path, {})
            signature = signature_v3.get_signature_v3(TOKEN, base, nonce).decode()
            headers = {"X-Plivo-Signature-V3": signature, "X-Plivo-Signature-V3-Nonce": nonce}
        return websocket.create_connection(self.url.replace("http", "ws") + path, timeout=5, header=headers,
                                           suppress_origin=True, subprotocols=["audio.plivo.com"])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


def form(call, event, status, **more):
    return {"CallUUID": call, "From": CUSTOMER, "To": NUMBER, "Direction": "inbound", "CallStatus": status,
            "Event": event, "ParentAuthID": AUTH_ID, **more}


def hangup(call):
    return form(call, "Hangup", "completed", HangupCause="NORMAL_CLEARING", HangupCauseName="Normal Hangup",
                HangupCauseCode="4000", HangupSource="Caller", Duration="47", BillDuration="60",
                TotalCost="0.00850")


def start(call):
    return json.dumps({"event": "start", "sequenceNumber": 1, "extra_headers": "{}", "start": {
        "callId": call, "streamId": uuid(77), "accountId": AUTH_ID, "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000}}})


def answered(backend, call):
    """The stream's address in the document, as a path."""
    answer = backend.hook("/answer", form(call, "StartApp", "ringing"))
    assert answer.status_code == 200 and "xml" in answer.headers["content-type"], answer.text
    document = ET.fromstring(answer.text)
    steps = [element.tag for element in document]
    assert document.tag == "Response" and steps[0] == "Stream" and len(steps) > 1, answer.text
    stream = document.find("Stream")
    assert stream.get("bidirectional") == "true" and stream.get("keepCallAlive") == "true", stream.attrib
    assert stream.get("contentType") == "audio/x-mulaw;rate=8000", stream.attrib
    assert stream.text.startswith("wss://wb.example.com/media-stream?wb="), stream.text
    return stream.text.removeprefix("wss://wb.example.com")


def test_the_urls_to_paste_are_printed(backend, _openai, _rest):
    for path in ("/answer", "/fallback", "/hangup"):
        assert f"{PUBLIC}{path}#rc=3&rp=all" in backend.printed, backend.printed
    assert "Twilio" not in backend.printed, backend.printed


def test_sdk_signed_webhooks_are_taken_by_post_and_by_get(backend, _openai, _rest):
    answered(backend, uuid(1))
    assert backend.call(uuid(1))["status"] == "ringing"
    again = backend.hook("/answer", form(uuid(2), "StartApp", "ringing"), method="GET")
    assert again.status_code == 200 and "<Stream" in again.text, again.text
    by_get = backend.hook("/hangup", hangup(uuid(2)), method="GET")
    assert by_get.status_code // 100 == 2, by_get.text
    ended = backend.hook("/hangup", hangup(uuid(1)))
    assert ended.status_code // 100 == 2, ended.text
    call = backend.until(lambda: (lambda c: c["status"] == "completed" and c)(backend.call(uuid(1))), "the end")
    assert "Normal Hangup (4000 NORMAL_CLEARING)" in json.dumps(call), call


def test_forged_webhooks_and_streams_create_nothing(backend, _openai, _rest):
    ringing = form(uuid(3), "StartApp", "ringing")
    nonce = "1"
    v2 = {"X-Plivo-Signature-V2": "z06qdSixsrF6f9/+DXHwOgXP4uWL9E9Om/Nrf9cijWw=", "X-Plivo-Signature-V2-Nonce": nonce}
    for answer in (
        backend.hook("/answer", ringing, token="other"),
        backend.hook("/answer", ringing, over="http://wb.example.com/answer"),
        requests.post(backend.url + "/answer", data=ringing, timeout=5),
        requests.post(backend.url + "/answer", data=ringing, headers=v2, timeout=5),
    ):
        assert answer.status_code == 403, (answer.status_code, answer.text)
    stream = backend.stream("/media-stream?wb=AAAAAAAAAAAAAAAAAAAAAA", signed=False)
    stream.send(start(uuid(3)))
    opcode, data = stream.recv_data()
    assert opcode == websocket.ABNF.OPCODE_CLOSE and int.from_bytes(data[:2], "big") == 1008, (opcode, data)
    assert backend.call(uuid(3)) is None


def test_a_call_is_held_interrupted_and_ended(backend, openai, _rest):
    for number, signed in ((4, True), (5, False)):
        call = uuid(number)
        stream = backend.stream(answered(backend, call), signed)
        assert stream.getsubprotocol() == "audio.plivo.com"
        stream.send(start(call))
        session = openai.wait("session.update")["session"]
        audio = session["audio"]
        assert audio["input"]["format"]["type"] == audio["output"]["format"]["type"] == "audio/pcmu", audio
        assert audio["input"]["turn_detection"]["threshold"] == 0.7, audio
        assert audio["output"]["voice"] == "shimmer", audio
        assert openai.headers["authorization"] == "Bearer sk-interop"
        assert "openai-beta" not in openai.headers
        openai.wait("response.create")
        openai.speak(seconds=8)
        heard = []
        for chunk in range(1, 60):
            stream.send(json.dumps({"event": "media", "sequenceNumber": chunk + 1, "streamId": uuid(77),
                                    "media": {"track": "inbound", "chunk": chunk, "payload": FRAME,
                                              "timestamp": str(1763697600000 + chunk * 20)}}))
            time.sleep(0.02)
        openai.interrupt()
        while "clearAudio" not in [message["event"] for message in heard]:
            message = json.loads(stream.recv())
            heard.append(message)
            if message["event"] == "checkpoint":
                stream.send(json.dumps({"event": "playedStream", "streamId": uuid(77), "name": message["name"]}))
        first = heard[0]
        assert first["event"] == "playAudio" and first["media"]["contentType"] == "audio/x-mulaw", first
        assert first["media"]["sampleRate"] == 8000 and base64.b64decode(first["media"]["payload"])[0] == 0x20
        cut = openai.wait("conversation.item.truncate")
        assert cut["item_id"] == "item_1" and 300 <= cut["audio_end_ms"] <= 2000, cut
        assert openai.said.empty(), "the vendor has stopped by itself: nothing is left to cancel"
        assert backend.hook("/hangup", hangup(call)).status_code // 100 == 2
        stream.close()
        backend.until(lambda: backend.call(call)["status"] == "completed", "the end")
    assert not openai.wrong, openai.wrong


def test_requests_are_what_the_sdk_would_send(backend, _openai, rest):
    headers = {"Authorization": "Bearer " + backend.token}
    placed = requests.post(backend.url + "/api/outbound-call", json={"number": "+" + CUSTOMER}, headers=headers,
                           timeout=10)
    assert placed.ok, placed.text
    backend.until(lambda: backend.call(uuid(9)), "the carrier's id is known")
    _, path, body = next(row for row in rest.seen if row[0] == "POST")
    assert path == f"/v1/Account/{AUTH_ID}/Call/", path
    assert body["from"].lstrip("+") == NUMBER and body["to"].lstrip("+") == CUSTOMER, body
    for name in ("answer_url", "hangup_url", "ring_url", "fallback_url"):
        assert body[name].startswith(PUBLIC) and body[name].endswith("#rc=3&rp=all"), body
    ended = requests.post(f"{backend.url}/api/calls/{uuid(9)}/terminate", json={}, headers=headers, timeout=10)
    assert ended.ok, ended.text
    backend.until(lambda: [row for row in rest.seen if row[:2] == ("DELETE", f"/v1/Account/{AUTH_ID}/Call/{uuid(9)}/")],
                  "the carrier is asked to hang up")
    assert not rest.wrong, rest.wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    openai, rest = OpenAi(), Rest()
    backend = Backend(parser.parse_args().binary, openai, rest)
    failed = 0
    tests = [value for name, value in globals().items() if name.startswith("test_")]
    try:
        for test in tests:
            try:
                test(backend, openai, rest)
                print(f"ok   {test.__name__}", flush=True)
            except Exception as error:  # one failing test must not hide the others
                failed += 1
                print(f"FAIL {test.__name__}: {error!r}", flush=True)
    finally:
        backend.stop()
    print(f"{len(tests) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
