#!/usr/bin/env python3
"""What wallboard says to vendors, held against the vendors' own SDK types.

No network and no keys: the fixtures hold every message and request our codecs make (unit tests keep
them true), and the SDKs judge them. Also judges what the simulators send.

    pip install -r tests/interop/requirements.txt
    python tests/interop/vendor_types.py
"""

import json
import sys
from pathlib import Path

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"


def lines(name):
    return [json.loads(line) for line in (FIXTURES / name).read_text().splitlines() if line]


def unknown_keys(given, understood, path=""):
    """Keys the SDK's types did not take over: a misspelt field would pass as an extra one."""
    if isinstance(given, dict) and isinstance(understood, dict):
        for key, value in given.items():
            if key not in understood:
                yield f"{path}.{key}"
            else:
                yield from unknown_keys(value, understood[key], f"{path}.{key}")
    elif isinstance(given, list) and isinstance(understood, list):
        for index, (one, other) in enumerate(zip(given, understood)):
            yield from unknown_keys(one, other, f"{path}[{index}]")


def openai_messages():
    from openai.types.realtime import (
        RealtimeClientEventParam,
        RealtimeServerEvent,
    )
    from pydantic import TypeAdapter

    client = TypeAdapter(RealtimeClientEventParam)
    for message in lines("openai/sent.jsonl"):
        understood = json.loads(client.dump_json(client.validate_python(message)))
        extra = [
            key
            for key in unknown_keys(message, understood)
            # A tool's JSON Schema is free.
            if ".parameters" not in key
        ]
        yield f"openai sent {message['type']}", extra

    server = TypeAdapter(RealtimeServerEvent)
    for message in lines("openai/simulated.jsonl"):
        event = server.validate_python(message)
        kind = message["type"]
        wrong = [] if event.type == kind else [f"read as {event.type}"]
        # The SDK's models take extra fields: none of ours may be one.
        extras = [f"extra {key}" for key in (event.model_extra or {})]
        yield f"openai simulated {kind}", wrong + extras


class Recorded(Exception):
    """Carries the request out of the SDK instead of sending it."""


def plivo_requests():
    import plivo

    class Session:
        def send(self, request, **_):
            raise Recorded(request)

    auth_id, token = "MAXXXXXXXXXXXXXXXXXX", "token"
    client = plivo.RestClient(auth_id, token)
    client.session.send = Session().send
    call = "11111111-2222-3333-4444-555555555555"
    official = {
        "dial": lambda: client.calls.create(
            from_="15557650000",
            to_="15551230000",
            answer_url="https://h/answer",
            answer_method="POST",
            hangup_url="https://h/hangup",
            hangup_method="POST",
            ring_url="https://h/ring",
            ring_method="POST",
            fallback_url="https://h/fallback",
            fallback_method="POST",
            machine_detection="true",
            machine_detection_url="https://h/machine-detection",
            machine_detection_method="POST",
            ring_timeout=30,
        ),
        "hang_up": lambda: client.calls.delete(call),
        "cancel": lambda: client.calls.cancel(call),
        "transfer": lambda: client.calls.transfer(
            call, legs="aleg", aleg_url="https://h/transfer?to=1", aleg_method="POST"
        ),
        "record": lambda: client.calls.record(
            call,
            time_limit=14400,
            file_format="wav",
            record_channel_type="stereo",
            callback_url="https://h/recording",
            callback_method="POST",
        ),
        "stop_recording": lambda: client.calls.record_stop(call),
        "speak": lambda: client.calls.speak(call, "Hello", legs="aleg"),
        "stop_speaking": lambda: client.calls.speak_stop(call),
        "play": lambda: client.calls.play(call, "https://h/a.mp3", legs="aleg"),
        "stop_playing": lambda: client.calls.play_stop(call),
        "press": lambda: client.calls.send_digits(call, "12#", leg="aleg"),
        "live_ids": lambda: client.live_calls.list_ids(),
        "queued_ids": lambda: client.queued_calls.list_ids(),
        "live": lambda: client.live_calls.get(call),
        "queued": lambda: client.queued_calls.get(call),
        "ended": lambda: client.calls.get(call),
        "ended_page": lambda: client.calls.list(limit=20, offset=20),
        "recordings": lambda: client.recordings.list(call_uuid=call),
        "recording": lambda: client.recordings.get(call),
    }
    # Defaults the SDK writes out and the carrier has anyway.
    defaults = {
        "voice": "WOMAN",
        "language": "en-US",
        "loop": "False",
        "mix": "True",
        "error_if_parent_not_found": "False",
        "machine_detection_time": "5000",
        # Not a parameter: the SDK sends its own arguments along, the id stands in the path.
        "call_uuid": call,
    }
    default_query = {"limit=20", "offset=0", f"call_uuid={call}"}
    for ours in lines("plivo/requests.jsonl"):
        name = ours["name"]
        try:
            official[name]()
            yield f"plivo {name}", ["the SDK sent nothing"]
            continue
        except Recorded as recorded:
            theirs = recorded.args[0]
        except Exception as error:  # the SDK's own complaint is the finding
            yield f"plivo {name}", [repr(error)]
            continue
        wrong = []
        if theirs.method != ours["method"]:
            wrong.append(f"method {ours['method']} instead of {theirs.method}")
        path, _, query = theirs.path_url.partition("?")
        our_path, _, our_query = ours["path"].partition("?")
        if path != our_path:
            wrong.append(f"path {our_path} instead of {path}")
        difference = set(filter(None, query.split("&"))) ^ set(filter(None, our_query.split("&")))
        if difference - default_query:
            wrong.append(f"query {our_query} instead of {query}")
        body = theirs.body
        body = json.loads(body) if body else None
        said = {k: v for k, v in (body or {}).items() if str(v) != defaults.get(k)}
        # Silence by default is not the same as saying it; both ways must agree otherwise.
        mine = ours["body"] or {}
        for key in sorted(set(said) | set(mine)):
            if key not in mine and said[key] in (None, ""):
                continue
            if str(said.get(key)) != str(mine.get(key)):
                wrong.append(f"{key}: {mine.get(key)!r} instead of {said.get(key)!r}")
        yield f"plivo {name}", wrong


def plivo_signatures():
    from plivo.utils import validate_v3_signature

    for row in lines("plivo/signatures.jsonl"):
        if row.get("version") == "v2" or "message" not in row:
            continue
        valid = validate_v3_signature(
            row["method"],
            row["url"],
            "05429567804466091622",
            "wallboard_plivo_token_0123456789",
            row["sig"],
            dict(row["params"]),
        )
        yield f"plivo signature {row['id']}", [] if valid else ["refused by the SDK"]


def main():
    checked = failed = 0
    for judge in (openai_messages, plivo_requests, plivo_signatures):
        for what, wrong in judge():
            checked += 1
            for finding in wrong:
                failed += 1
                print(f"{what}: {finding}", file=sys.stderr)
    print(f"{checked} checked, {failed} wrong")
    return 1 if failed or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
