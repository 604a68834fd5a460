#!/usr/bin/env bash
# What a screen costs the terminal it is shown on, beside other programs that stay open all day:
# bytes and wake-ups a second, processor, memory, and how soon a key is answered.
#
#   benches/terminal.sh [SECONDS] [CALLS]     default 20 24
#   WALLBOARD_BIN=target/debug/wallboard      another binary than a fresh release build
#   SIZE=200x60                               another terminal than 120x40
#
# Each program gets the same pseudo terminal, one after the other, with its own defaults: wallboard
# attached to a backend without calls, then to one with CALLS calls in which everybody speaks (with
# and without --low-bandwidth); htop; bottom (btm); trippy (trip, on loopback; wants root). Programs
# that are not installed are named: apt-get install htop, cargo install --locked bottom trippy.
#
# Key-to-paint: from writing a key until the program's next byte, 60 keys, each after a moment in
# which nothing was written (or, where a program never pauses for it, after at most 2 s). Prints a
# table, then the same as one JSON line.
set -euo pipefail
seconds=${1:-20} calls=${2:-24} size=${SIZE:-120x40}
cd "$(dirname "$0")/.."
[ -n "${WALLBOARD_BIN:-}" ] || cargo build --release --locked --quiet
bin=$(realpath "${WALLBOARD_BIN:-target/release/wallboard}")
dir=$(mktemp -d)
# The second signal is for a backend that waits for calls which did not end.
leave() { kill $(jobs -p) 2>/dev/null || true; sleep 1; kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$dir"; }
trap leave EXIT

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
until_says() { for _ in $(seq 600); do grep -q "$2" "$1" && return; sleep 0.1; done; echo "no '$2' in $1:" >&2; cat "$1" >&2; exit 1; }
empty=$(port) busy=$(port) carrier=$(port) agent=$(port)
export XDG_CONFIG_HOME=$dir XDG_STATE_HOME=$dir/state XDG_DATA_HOME=$dir/data WALLBOARD_LOG=error WALLBOARD_AUDIO=none
export TWILIO_ACCOUNT_SID=AC00000000000000000000000000000001 TWILIO_AUTH_TOKEN=load-auth-token TWILIO_PHONE_NUMBER=+15557650000
export ELEVENLABS_API_KEY=load-api-key ELEVENLABS_AGENT_ID=agent_load
export WALLBOARD_TWILIO__API_BASE=http://127.0.0.1:$carrier
export WALLBOARD_ELEVENLABS__API_BASE=http://127.0.0.1:$agent WALLBOARD_ELEVENLABS__WS_BASE=ws://127.0.0.1:$agent
token=wb_terminal_bench_admin_token

serve() { # PORT NAME
  WALLBOARD_TOKEN=$token WALLBOARD_SERVER__LISTEN=127.0.0.1:$1 WALLBOARD_DATA_DIR=$dir/$2 \
    "$bin" serve >"$dir/$2.out" 2>"$dir/$2.err" &
  until_says "$dir/$2.out" "serves on"
}
"$bin" simulate agent --load --barge-in 0s --listen "127.0.0.1:$agent" >"$dir/agent" 2>"$dir/agent.err" &
until_says "$dir/agent" "127.0.0.1"
serve "$empty" empty
serve "$busy" busy
"$bin" simulate carrier --url "http://127.0.0.1:$busy" --listen "127.0.0.1:$carrier" --calls "$calls" \
  --ramp 2s --hold "$((seconds * 2 + 180))s" >"$dir/carrier" 2>"$dir/carrier.err" &
sleep 4

export WALLBOARD_TOKEN=$token
python3 - "$seconds" "$size" "$calls" "$bin" "http://127.0.0.1:$empty" "http://127.0.0.1:$busy" <<'PY'
import fcntl, json, os, pty, select, shutil, signal, statistics, struct, sys, termios, time

seconds, size, calls, binary, empty, busy = float(sys.argv[1]), *sys.argv[2:]
columns, rows = map(int, size.split("x"))
KEYS, DOWN, UP = 60, b"\x1b[B", b"\x1b[A"
PROGRAMS = [
    ("wallboard, no calls", [binary, "attach", empty]),
    (f"wallboard, {calls} calls", [binary, "attach", busy]),
    (f"wallboard, {calls} calls, --low-bandwidth", [binary, "attach", busy, "--low-bandwidth"]),
    ("htop", ["htop"]),
    ("bottom", ["btm"]),
    ("trippy", ["trip", "127.0.0.1"]),
]


class Terminal:
    """A program on a pseudo terminal that takes everything in at once."""

    def __init__(self, words):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", LANG="C.UTF-8", COLORTERM="truecolor")
            os.environ.pop("SSH_CONNECTION", None)
            os.execvp(words[0], words)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.bytes, self.open = 0, True

    def read(self, wait):
        """What is written within `wait` seconds, at its first byte; empty when nothing is."""
        if not self.open or not select.select([self.fd], [], [], max(wait, 0))[0]:
            return b""
        try:
            more = os.read(self.fd, 65536)
        except OSError:
            more = b""
        self.open = bool(more)
        self.bytes += len(more)
        # What a terminal is asked, it answers: where the cursor is, and what it is.
        if b"\x1b[6n" in more:
            os.write(self.fd, b"\x1b[1;1R")
        if b"\x1b[c" in more:
            os.write(self.fd, b"\x1b[?62;c")
        return more

    def drain(self, span):
        until = time.monotonic() + span
        while self.open and time.monotonic() < until:
            self.read(until - time.monotonic())

    def status(self, word):
        total = 0
        for task in os.listdir(f"/proc/{self.pid}/task"):
            try:
                with open(f"/proc/{self.pid}/task/{task}/status") as lines:
                    total += sum(int(line.split()[1]) for line in lines if line.startswith(word))
            except OSError:
                pass
        return total

    def memory(self):
        with open(f"/proc/{self.pid}/status") as lines:
            return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024

    def processor(self):
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def quiet(self, span, limit):
        """Waits until nothing has been written for `span` seconds, at most `limit`."""
        until = time.monotonic() + limit
        while self.open and time.monotonic() < until:
            if not self.read(span):
                return

    def key_ms(self, key):
        self.quiet(0.05, 2.0)
        began = time.monotonic()
        os.write(self.fd, key)
        return (time.monotonic() - began) * 1000 if self.read(2.0) else None

    def leave(self):
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.kill(self.pid, sign)
            except ProcessLookupError:
                break
            self.drain(0.7)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def measure(words):
    terminal = Terminal(words)
    terminal.drain(4.0)
    if not terminal.open:
        os.waitpid(terminal.pid, 0)
        return None
    before = terminal.bytes, terminal.status("voluntary_ctxt_switches"), terminal.processor()
    began = time.monotonic()
    terminal.drain(seconds)
    span = time.monotonic() - began
    after = terminal.bytes, terminal.status("voluntary_ctxt_switches"), terminal.processor()
    rss = terminal.memory()
    taken = sorted(ms for n in range(KEYS) if (ms := terminal.key_ms((DOWN, UP)[n % 2])) is not None)
    terminal.leave()
    per_second = [(b - a) / span for a, b in zip(before, after)]
    rank = lambda share: round(taken[min(len(taken) - 1, int(len(taken) * share))], 1) if taken else None
    return {
        "bytes_s": round(per_second[0]), "wakeups_s": round(per_second[1], 1),
        "cpu_pct": round(per_second[2] * 100, 2), "rss_mb": round(rss, 1),
        "key_ms_p50": rank(0.5), "key_ms_p99": rank(0.99), "keys_answered": len(taken),
    }


found, absent = {}, []
for name, words in PROGRAMS:
    if shutil.which(words[0]) is None:
        absent.append(name)
        continue
    result = measure(words)
    if result is None:
        absent.append(f"{name} (it left at once)")
    else:
        found[name] = result
width = max(map(len, found))
heads = ["bytes/s", "wake-ups/s", "CPU %", "RSS MB", "key p50 ms", "key p99 ms", f"of {KEYS} keys"]
print(f"{size}, {seconds:.0f} s each")
print(" " * width, *(f"{head:>11}" for head in heads))
for name, row in found.items():
    print(f"{name:<{width}}", *(f"{'-' if value is None else value:>11}" for value in row.values()))
if absent:
    print("not measured, because not here:", ", ".join(absent))
print(json.dumps({"size": size, "seconds": seconds, "programs": found, "absent": absent}))
PY
