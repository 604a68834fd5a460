#!/usr/bin/env python3
"""Makes speech.pack and speech.toml from scripts/*.toml. Needs espeak-ng, sox and Python 3.11.

    python3 make.py            build the pack and its index
    python3 make.py extract D  write every clip of the pack as a WAV file into directory D

The same scripts and the same versions of both tools give the same bytes: nothing here is random.
"""
import hashlib
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACK, INDEX = HERE / "speech.pack", HERE / "speech.toml"
RATE = 8000


def run(*args):
    subprocess.run([str(a) for a in args], check=True, stderr=subprocess.DEVNULL)


def say(voice, speed, pitch, text, work):
    """One clip: spoken, cut to the telephone band, levelled, silence trimmed, IMA ADPCM 4 bit."""
    raw, clip = work / "raw.wav", work / "clip.ima"
    run("espeak-ng", "-v", voice, "-s", speed, "-p", pitch, "-w", raw, text)
    run("sox", "-D", "-R", raw, "-r", RATE, "-c", 1, "-b", 16, "-t", "ima", clip,
        "highpass", 250, "lowpass", 3400, "norm", -6,
        "silence", 1, "0.01", "0.3%", "reverse", "silence", 1, "0.01", "0.3%", "reverse",
        "pad", 0.02, 0.04)
    return clip.read_bytes()


def build():
    pack, rows, seen = bytearray(), [], {}
    with tempfile.TemporaryDirectory() as tmp:
        for path in sorted((HERE / "scripts").glob("*.toml")):
            script = tomllib.loads(path.read_text())
            for n, line in enumerate(script.get("line", [])):
                role = line["role"]
                if role not in ("agent", "caller"):
                    continue
                voice = script[f"{role}_voice"]
                speed = script.get(f"{role}_speed", 165 if role == "agent" else 150)
                pitch = script.get(f"{role}_pitch", 55 if role == "agent" else 35)
                text = line.get("say", line["text"])
                key = (voice, speed, pitch, text)
                if key not in seen:
                    data = say(voice, speed, pitch, text, Path(tmp))
                    seen[key] = (len(pack), len(data))
                    pack += data
                offset, size = seen[key]
                rows.append((f"{path.stem}.{n:02}", offset, size, len(text.split())))
    PACK.write_bytes(pack)
    out = ["# Made by make.py. Clip = script.line; two 4-bit samples a byte, 8000 samples a second.",
           f'sha256 = "{hashlib.sha256(pack).hexdigest()}"', ""]
    for clip, offset, size, words in rows:
        out += ["[[clip]]", f'id = "{clip}"', f"offset = {offset}", f"bytes = {size}",
                f"ms = {size * 2 * 1000 // RATE}", f"words = {words}", ""]
    INDEX.write_text("\n".join(out))
    print(f"{len(rows)} clips, {len(pack)} bytes, {len(pack) * 2 // RATE} s")


def extract(target):
    target.mkdir(parents=True, exist_ok=True)
    pack = PACK.read_bytes()
    for clip in tomllib.loads(INDEX.read_text())["clip"]:
        data = pack[clip["offset"]:clip["offset"] + clip["bytes"]]
        subprocess.run(["sox", "-t", "ima", "-r", str(RATE), "-", "-e", "signed", "-b", "16",
                        str(target / f"{clip['id']}.wav")], input=data, check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["extract"]:
        extract(Path(sys.argv[2]))
    else:
        build()
