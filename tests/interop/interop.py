"""Official clients against a running wallboard, all on loopback.

Webhooks are signed by the official `twilio` package, subscribers are `python-socketio` and
`socket.io-client`, media streams come from `websocket-client`.
"""

import argparse
import base64
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import pty
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import xml.etree.ElementTree as ET

import pyte
import requests
import socketio
import websocket
from twilio.request_validator import RequestValidator

import conversations

AUTH_TOKEN = "wallboard_interop_token_0123456789"
ACCOUNT = "AC" + "a" * 32
PUBLIC = "https://wb.example.com"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def end(process):
    """Politely, then for sure: one that is left running holds our output open."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


class Parts:
    """The three servers of a pipeline agent, simulated."""

    def __init__(self, binary):
        self.process = subprocess.Popen(
            [binary, "simulate", "agent", "--vendor", "pipeline"], stdout=subprocess.PIPE, text=True,
            env={"PATH": os.environ["PATH"], "HOME": tempfile.gettempdir()})
        self.url = json.loads(self.process.stdout.readline())["url"]

    def stop(self):
        end(self.process)


class Backend:
    def __init__(self, binary, parts, servers):
        self.binary = binary
        self.dir = tempfile.mkdtemp(prefix="wallboard-interop-")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        env = {
            "PATH": os.environ["PATH"],
            "HOME": self.dir,
            "XDG_CONFIG_HOME": self.dir + "/config",
            "WALLBOARD_DATA__DIR": self.dir + "/data",
            "WALLBOARD_SERVER__LISTEN": f"127.0.0.1:{self.port}",
            "WALLBOARD_SERVER__PUBLIC_URL": PUBLIC,
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
            "TWILIO_PHONE_NUMBER": "+15557650000",
            "WALLBOARD_TWILIO__API_BASE": "http://127.0.0.1:9",
            "ELEVENLABS_API_KEY": "xi_interop",
            "ELEVENLABS_AGENT_ID": "agent_interop",
            "ELEVENLABS_CONVERSATION_EVENTS_WEBHOOK_SECRET": conversations.SECRET,
            "WALLBOARD_ELEVENLABS__API_BASE": "http://127.0.0.1:9",
            "WALLBOARD_CHAT__ASR__URL": parts.url,
            "WALLBOARD_CHAT__LLM__URL": parts.url,
            "WALLBOARD_CHAT__TTS__URL": parts.url,
        }
        self.log = open(self.dir + "/serve.log", "wb")
        self.process = subprocess.Popen(
            [binary, "serve"], env=env, cwd=self.dir, stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log)
        servers.callback(self.stop)
        self.until(lambda: requests.get(self.url + "/healthz", timeout=1).ok, "the backend answers", 20)
        token = pathlib.Path(self.dir, "data", "token")
        self.until(token.exists, "the token file exists", 5)
        self.token = token.read_text().strip()

    def until(self, condition, what, seconds=5):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the backend ended ({self.process.returncode}): {self.tail()}")
            try:
                result = condition()
                if result:
                    return result
            except (requests.ConnectionError, requests.Timeout):
                pass
            time.sleep(0.02)
        raise AssertionError(f"not within {seconds} s: {what}\n{self.tail()}")

    def tail(self):
        self.log.flush()
        return pathlib.Path(self.dir, "serve.log").read_text(errors="replace")[-2000:]

    def get(self, path):
        return requests.get(self.url + path, headers={"Authorization": "Bearer " + self.token}, timeout=5)

    def call(self, sid):
        answer = self.get(f"/api/calls/{sid}")
        if answer.status_code != 200:
            return None
        body = answer.json()
        return body.get("data", body).get("call", body.get("data", body))

    def webhook(self, path, params, token=AUTH_TOKEN, sign_over=None, headers=None):
        signature = RequestValidator(token).compute_signature(sign_over or PUBLIC + path, params)
        return requests.post(self.url + path, data=params, timeout=5,
                             headers={"X-Twilio-Signature": signature, **(headers or {})})

    def stop(self):
        end(self.process)
        shutil.rmtree(self.dir, ignore_errors=True)


def sid(prefix, n):
    return prefix + f"{n:032x}"


def status(call, word, sequence, **more):
    return {"AccountSid": ACCOUNT, "ApiVersion": "2010-04-01", "CallSid": call, "CallStatus": word,
            "CallbackSource": "call-progress-events", "Direction": "inbound", "From": "+15551230000",
            "To": "+15557650000", "SequenceNumber": str(sequence),
            "Timestamp": "Sat, 21 Nov 2026 04:00:00 +0000", **more}


def test_signed_incoming_call_gets_a_stream_and_a_fallback(backend):
    call = sid("CA", 1)
    answer = backend.webhook("/incoming-call", status(call, "ringing", 0))
    assert answer.status_code == 200, answer.text
    assert "xml" in answer.headers["content-type"]
    document = ET.fromstring(answer.text)
    verbs = [child.tag for child in document]
    assert verbs[0] == "Connect" and len(verbs) > 1, f"a verb must follow <Connect>: {verbs}"
    stream = document.find("Connect/Stream")
    assert stream.get("url").startswith("wss://wb.example.com/outbound-media-stream"), stream.attrib
    assert "?" not in stream.get("url")
    names = [parameter.get("name") for parameter in stream.findall("Parameter")]
    assert "wb" in names, names
    assert backend.call(call)["status"] == "ringing"


def test_forged_webhooks_create_nothing(backend):
    call = sid("CA", 2)
    for answer in (
        backend.webhook("/incoming-call", status(call, "ringing", 0), token="other"),
        requests.post(backend.url + "/incoming-call", data=status(call, "ringing", 0), timeout=5),
        backend.webhook("/incoming-call", status(call, "ringing", 0), sign_over="http://wb.example.com/incoming-call"),
    ):
        assert answer.status_code == 403, (answer.status_code, answer.text)
    assert backend.call(call) is None


def test_duplicated_and_reordered_statuses_end_right(backend):
    call = sid("CA", 3)
    completed = status(call, "completed", 3, CallDuration="47", SipResponseCode="200")
    history = [status(call, "initiated", 0), status(call, "in-progress", 2), completed, completed,
               status(call, "ringing", 1), status(call, "in-progress", 2)]
    for params in history:
        answer = backend.webhook("/call-status-callback", params)
        assert answer.status_code in (200, 204), (answer.status_code, answer.text)
    seen = backend.call(call)
    assert seen["status"] == "completed", seen
    assert seen["duration_s"] == 47, seen


def test_json_quality_events_are_checked_by_body_hash(backend):
    body = json.dumps([{"specversion": "1.0", "type": "com.twilio.voice.insights.call-summary.partial",
                        "source": "DG1", "id": "EV1", "dataschema": "x", "datacontenttype": "application/json",
                        "time": "2026-11-21T04:00:00Z", "data": {"call_sid": sid("CA", 3)}}])
    validator = RequestValidator(AUTH_TOKEN)
    path = "/quality-insights-callback?bodySHA256=" + hashlib.sha256(body.encode()).hexdigest()
    signature = validator.compute_signature(PUBLIC + path, {})
    headers = {"X-Twilio-Signature": signature, "Content-Type": "application/json"}
    good = requests.post(backend.url + path, data=body, headers=headers, timeout=5)
    assert good.status_code in (200, 204), (good.status_code, good.text)
    bad = requests.post(backend.url + path, data=body + " ", headers=headers, timeout=5)
    assert bad.status_code == 403, bad.status_code


def test_media_stream_needs_a_proof(backend):
    frame = json.dumps({"event": "start", "sequenceNumber": "1", "streamSid": sid("MZ", 1), "start": {
        "accountSid": ACCOUNT, "streamSid": sid("MZ", 1), "callSid": sid("CA", 4), "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}, "customParameters": {}}})
    ws = websocket.create_connection(backend.url.replace("http", "ws") + "/outbound-media-stream", timeout=5,
                                     suppress_origin=True)
    ws.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
    ws.send(frame)
    opcode, data = ws.recv_data()
    assert opcode == websocket.ABNF.OPCODE_CLOSE and int.from_bytes(data[:2], "big") == 1008, (opcode, data)
    assert backend.call(sid("CA", 4)) is None
    signature = RequestValidator(AUTH_TOKEN).compute_signature("wss://wb.example.com/outbound-media-stream", {})
    ws = websocket.create_connection(
        backend.url.replace("http", "ws") + "/outbound-media-stream", timeout=5, suppress_origin=True,
        header={"x-twilio-signature": signature})
    ws.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
    ws.send(frame)
    silence = base64.b64encode(b"\xff" * 160).decode()
    for chunk in range(1, 20):
        ws.send(json.dumps({"event": "media", "sequenceNumber": str(chunk + 1), "streamSid": sid("MZ", 1),
                            "media": {"track": "inbound", "chunk": str(chunk), "timestamp": str(chunk * 20),
                                      "payload": silence}}))
    backend.until(lambda: (backend.call(sid("CA", 4)) or {}).get("status") == "in-progress",
                  "a signed stream of an unknown call is adopted")
    ws.close()


def test_python_socketio_sees_each_fact_once(backend):
    client = socketio.Client(reconnection=False)
    updates, calls = [], []
    client.on("call_update", updates.append)
    client.on("active_calls", calls.append)
    client.connect(backend.url, auth={"token": backend.token}, transports=["websocket"], wait_timeout=5)
    backend.until(lambda: calls, "active_calls on connect")
    assert isinstance(calls[0], list)
    client.emit("subscribe_to_calls")
    client.emit("subscribe_to_call", sid("CA", 5))
    for sequence, word in enumerate(("initiated", "ringing", "in-progress", "completed")):
        assert backend.webhook("/call-status-callback", status(sid("CA", 5), word, sequence)).ok
    mine = lambda: [update for update in updates if update.get("callSid") == sid("CA", 5)]
    backend.until(lambda: any(update["type"] == "call_ended" for update in mine()), "call_ended")
    kinds = [update["type"] for update in mine()]
    assert kinds[0] == "new_call" and kinds.count("new_call") == 1 and kinds.count("call_ended") == 1, kinds
    assert all(update["v"] == 1 and update["seq"] > 0 for update in mine()), mine()
    client.disconnect()


def test_a_socket_without_a_token_is_refused(backend):
    client = socketio.Client(reconnection=False)
    try:
        client.connect(backend.url, transports=["websocket"], wait_timeout=5)
    except socketio.exceptions.ConnectionError:
        return
    client.disconnect()
    raise AssertionError("the default namespace let a stranger in")


def node_client(transport):
    def test(backend):
        script = pathlib.Path(OPTIONS.node, "socketio_wallboard.mjs")
        client = subprocess.Popen(["node", str(script), backend.url, backend.token, transport], text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        lines = []
        for line in client.stdout:
            lines.append(line)
            if line.strip() == "ready":
                break
        assert lines and lines[-1].strip() == "ready", "".join(lines)
        call = sid("CA", 100 + len(transport))
        for sequence, word in enumerate(("initiated", "ringing", "in-progress", "completed")):
            assert backend.webhook("/call-status-callback", status(call, word, sequence)).ok
        out, _ = client.communicate("done\n", timeout=10)
        assert client.returncode == 0, "".join(lines) + out
    test.__name__ = f"test_official_client_over_{transport}"
    return test


class Terminal:
    """The binary on a pseudo terminal, its screen parsed by pyte."""

    def __init__(self, args, columns=120, rows=40):
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.dir = tempfile.mkdtemp(prefix="wallboard-interop-")
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            env = {"PATH": os.environ["PATH"], "HOME": self.dir, "TERM": "xterm-256color", "LANG": "C.UTF-8",
                   "WALLBOARD_AUDIO": "none", "COLUMNS": str(columns), "LINES": str(rows)}
            os.execve(args[0], args, env)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait(self, condition, what, seconds=10):
        deadline = time.monotonic() + seconds
        while True:
            text = "\n".join(self.screen.display)
            if condition(text):
                return text
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds} s: {what}\n{text}")
            ready, _, _ = select.select([self.fd], [], [], 0.1)
            if ready:
                try:
                    self.stream.feed(os.read(self.fd, 65536))
                except OSError as gone:
                    raise AssertionError(f"the screen ended before: {what}\n{text}") from gone

    def keys(self, text):
        os.write(self.fd, text.encode())

    def stop(self):
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except ProcessLookupError:
            pass
        shutil.rmtree(self.dir, ignore_errors=True)


def test_attach_compat_to_an_older_backend(_backend):
    script = pathlib.Path(OPTIONS.node, "compat_backend.mjs")
    server = subprocess.Popen(["node", str(script)], text=True, stdout=subprocess.PIPE)
    terminal = None
    try:
        port = json.loads(server.stdout.readline())["port"]
        terminal = Terminal([OPTIONS.binary, "attach", "--compat", f"http://127.0.0.1:{port}"])
        terminal.wait(lambda text: "IN CALL" in text, "the older backend's call is on the board")
        terminal.wait(lambda text: "Hello from the older backend" in text, "its transcript is shown")
        shown = terminal.wait(lambda text: "I can hear you well" in text, "hostile text is shown harmlessly")
        assert shown.count("I can hear you well") <= 2, shown
        terminal.keys("E")
        terminal.wait(lambda text: "End this call?" in text, "the confirmation")
        # A yes in the same breath as the question does not count.
        time.sleep(0.4)
        terminal.keys("y")
        terminal.wait(lambda text: "ENDED" in text, "its REST ended the call", 15)
    finally:
        if terminal:
            terminal.stop()
        server.kill()


def test_chat_with_python_socketio(backend):
    for transports in (["websocket"], ["polling"]):
        client = socketio.Client()
        events = {"audio": [], "text": [], "error": []}
        for name, seen in events.items():
            client.on(name, seen.append, namespace="/chat/v1")
        client.connect(backend.url, namespaces=["/chat/v1"], transports=transports,
                       auth={"token": backend.token, "agentId": "pipeline"})
        backend.until(lambda: events["text"], "the welcome", 20)
        ack = client.call("text", {"data": "hello"}, namespace="/chat/v1", timeout=5)
        assert ack == {"ok": True}, ack
        backend.until(lambda: len(events["text"]) == 2, "the answer", 30)
        assert events["text"][1]["data"].startswith("Hello! I am the rehearsal agent."), events["text"]
        assert events["audio"][-1]["meta_info"]["end_of_synthesizer_stream"], events["audio"][-1]["meta_info"]
        speech = pathlib.Path(__file__).parent.parent / "fixtures/pipeline/thursday.ulaw"
        client.emit("audio", {"data": speech.read_bytes(), "meta_info": {"format": "mulaw"}}, namespace="/chat/v1")
        backend.until(lambda: len(events["text"]) == 3, "the answer to a binary attachment", 30)
        assert events["text"][2]["data"].startswith("Yes, Mill Street"), events["text"][2]
        client.emit("audio", {"data": "?"}, namespace="/chat/v1")
        backend.until(lambda: events["error"], "an error", 20)
        assert events["error"][0]["code"] == "bad_base64" and client.connected
        client.disconnect()


def test_the_readmes_sample_client_talks_to_an_agent(backend):
    sample = subprocess.Popen(
        ["node", "talk.mjs", backend.url, "pipeline"], cwd=OPTIONS.node, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "WALLBOARD_TOKEN": backend.token})
    said = ""
    # A sample that says nothing ends, and with it the reading of its lines.
    patience = threading.Timer(60, sample.kill)
    patience.start()
    try:
        for wanted, then in (("How can I help?", "When are you open?\n"), ("nine to five", "exit\n")):
            while wanted not in said:
                line = sample.stdout.readline()
                assert line, f"the sample ended: {said}"
                said += line
            sample.stdin.write(then)
            sample.stdin.flush()
        sample.wait(10)
    finally:
        patience.cancel()
        sample.kill()
    assert "[connected to pipeline]" in said and "[answer-1.wav]" in said, said


def test_the_readmes_sample_client_leaves_whatever_it_is_connected_to(backend):
    def talk(url, words):
        return subprocess.run(
            ["node", "talk.mjs", url, "pipeline"], cwd=OPTIONS.node, text=True, input=words, timeout=60,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "WALLBOARD_TOKEN": backend.token})

    nobody = f"http://127.0.0.1:{free_port()}"
    for words in ("exit\n", ""):
        left = talk(nobody, words)
        assert left.returncode == 0, left
    # The end of the input leaves too, once what was asked is answered.
    left = talk(backend.url, "When are you open?\n")
    assert left.returncode == 0 and "nine to five" in left.stdout, left


def test_chat_verb_talks_in_a_terminal(backend):
    env = {"PATH": os.environ["PATH"], "HOME": backend.dir, "WALLBOARD_TOKEN": backend.token}
    said = subprocess.run(
        [OPTIONS.binary, "chat", "--url", backend.url, "--agent", "pipeline"], env=env, text=True, timeout=60,
        input="When are you open?\n", capture_output=True)
    assert said.returncode == 0, said
    assert "pipeline: Hello, this is the rehearsal agent. How can I help?" in said.stdout, said
    assert "pipeline: We are open from nine to five, Monday to Friday." in said.stdout, said


def chat_client(transport):
    def test(backend):
        speech = pathlib.Path(__file__).parent.parent / "fixtures/pipeline/thursday.ulaw"
        ran = subprocess.run(
            ["node", "chat_gateway.mjs", backend.url, backend.token, transport, str(speech)],
            cwd=OPTIONS.node, text=True, capture_output=True, timeout=240)
        assert ran.returncode == 0, ran.stdout + ran.stderr

    test.__name__ = f"chat_gateway_over_{transport}"
    return test


def test_errors_name_code_message_and_hint(backend):
    answer = requests.get(backend.url + "/api/calls/active", timeout=5)
    assert answer.status_code == 401, answer.status_code
    error = answer.json()["error"]
    assert {"code", "message", "hint"} <= set(error), error


def main():
    tests = [value for name, value in globals().items() if name.startswith("test_") and callable(value)]
    tests += [value for name, value in vars(conversations).items() if name.startswith("test_")]
    tests += [node_client("websocket"), node_client("polling")]
    tests += [chat_client("websocket"), chat_client("polling")]
    tests = [test for test in tests if not OPTIONS.only or OPTIONS.only in test.__name__]
    passed, failed = 0, 0
    # A server left running holds our output open, and whoever reads it waits for ever.
    with contextlib.ExitStack() as servers:
        parts = Parts(OPTIONS.binary)
        servers.callback(parts.stop)
        backend = Backend(OPTIONS.binary, parts, servers)
        for test in tests:
            try:
                test(backend)
                passed += 1
                print(f"ok   {test.__name__}", flush=True)
            except Exception as error:  # one failing client must not hide the others
                failed += 1
                print(f"FAIL {test.__name__}: {error!r}", flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    # The servers run in directories of their own.
    parser.add_argument("--binary", required=True, type=os.path.abspath)
    parser.add_argument("--node", required=True)
    parser.add_argument("--only", default="", help="tests with this in their name")
    OPTIONS = parser.parse_args()
    main()
