#!/usr/bin/env bash
# Calls through one whole backend on real sockets: a simulated carrier and a simulated agent in
# processes of their own stamp every frame; the server is pinned to core 0, they to the others.
#
#   benches/load.sh [CALLS] [SECONDS] [LISTENERS]      default 100 30 1
#   CARRIER=plivo AGENT=openai benches/load.sh 50      default twilio, elevenlabs
#   BARGE_IN=2s                                        how often each caller breaks in; default 5s, 0s never
#   BRIDGE=floor benches/load.sh …                     the least a bridge can do, instead; nobody breaks in
#
# Machines differ and neighbours are loud: compare the two, measured one after the other.
# Prints one JSON line: what the bridge added (each way), how soon a barge-in reached the carrier,
# what was lost, and what the server used.
set -euo pipefail
calls=${1:-100} seconds=${2:-30} listeners=${3:-1}
cd "$(dirname "$0")/.."
[ -n "${WALLBOARD_BIN:-}" ] || cargo build --release --locked --quiet
bin=${WALLBOARD_BIN:-target/release/wallboard}
line=${CARRIER:-twilio} voice=${AGENT:-elevenlabs} barge_in=${BARGE_IN:-5s}
if [ "${BRIDGE:-}" = floor ]; then
  floor=$(cargo bench --locked --bench floor --no-run 2>&1 | sed -n 's/.*(\(.*\))$/\1/p' | tail -1)
  listeners=0 line=twilio voice=elevenlabs barge_in=0s
fi
dir=$(mktemp -d)
# The second signal is for a backend that waits for calls which did not end.
leave() { kill $(jobs -p) 2>/dev/null || true; sleep 1; kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$dir"; }
trap leave EXIT

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
serve=$(port) carrier=$(port) agent=$(port)
# Only ever in the background: it takes the place of its subshell, so that $! is the program's.
others() { [ "$(nproc)" = 1 ] && exec "$@"; exec taskset -c "1-$(($(nproc) - 1))" "$@"; }
until_says() { for _ in $(seq 600); do grep -q "$2" "$1" && return; sleep 0.1; done; echo "no '$2' in $1:" >&2; cat "$1" >&2; exit 1; }

ulimit -n 65536 2>/dev/null || true
export XDG_CONFIG_HOME=$dir WALLBOARD_LOG=error WALLBOARD_AUDIO=none
export TWILIO_ACCOUNT_SID=AC00000000000000000000000000000001 TWILIO_AUTH_TOKEN=load-auth-token TWILIO_PHONE_NUMBER=+15557650000
export PLIVO_AUTH_ID=MALOAD00000000000001 PLIVO_AUTH_TOKEN=load-auth-token PLIVO_PHONE_NUMBER=+15557650001
export ELEVENLABS_API_KEY=load-api-key ELEVENLABS_AGENT_ID=agent_load OPENAI_API_KEY=load-api-key
cat >"$dir/config.toml" <<TOML
[server]
listen = "127.0.0.1:$serve"
[data]
dir = "$dir/data"
[twilio]
api_base = "http://127.0.0.1:$carrier"
[plivo]
api_base = "http://127.0.0.1:$carrier"
[elevenlabs]
api_base = "http://127.0.0.1:$agent"
ws_base = "ws://127.0.0.1:$agent"
[openai]
realtime_url = "ws://127.0.0.1:$agent/v1/realtime"
[[route]]
match = { carrier = "$line" }
agent = "$voice"
TOML
export WALLBOARD_CONFIG=$dir/config.toml

others "$bin" simulate agent --vendor "$voice" --load --barge-in "$barge_in" --listen "127.0.0.1:$agent" \
  >"$dir/agent" 2>"$dir/agent.err" &
agent_pid=$!
until_says "$dir/agent" "127.0.0.1"
backend() { [ -n "${floor:-}" ] && exec taskset -c 0 "$floor" "127.0.0.1:$serve" "127.0.0.1:$agent"; exec taskset -c 0 "$bin" serve; }
backend >"$dir/serve" 2>"$dir/serve.err" &
serve_pid=$!
until_says "$dir/serve" "serves on"

ramp=$((calls / 50 + 2))
hold=$((seconds + ramp))
others "$bin" simulate carrier --vendor "$line" --url "http://127.0.0.1:$serve" --listen "127.0.0.1:$carrier" \
  --calls "$calls" --ramp "${ramp}s" --hold "${hold}s" >"$dir/carrier" 2>"$dir/carrier.err" &
carrier_pid=$!
sleep "$((ramp + 2))"
if [ "$listeners" -gt 0 ]; then
  (others "$bin" ls --json 2>/dev/null) | head -n "$listeners" | python3 -c 'import sys, json
for line in sys.stdin: print(json.loads(line)["id"])' >"$dir/ids" || true
  while read -r id; do others "$bin" listen "$id" --raw >/dev/null 2>&1 & done <"$dir/ids"
fi

clock=$(getconf CLK_TCK)
ticks() { awk '{print $14 + $15, $15}' "/proc/$serve_pid/stat"; }
memory() { awk '/VmRSS/ {print $2}' "/proc/$serve_pid/status"; }
t0=$(date +%s.%N) && read -r c0 k0 < <(ticks)
sleep "$((seconds - 4))"
t1=$(date +%s.%N) rss=$(memory) && read -r c1 k1 < <(ticks)
wait "$carrier_pid"
sleep 2
live=0
[ -n "${floor:-}" ] || live=$("$bin" ls --live --json 2>/dev/null | wc -l)
kill -TERM "$agent_pid" && wait "$agent_pid" || true

python3 - "$dir" "$line" "$voice" "$calls" "$t0" "$t1" "$c0" "$c1" "$k0" "$k1" "$clock" "$rss" "$live" <<'PY'
import json, sys
folder, line, voice = sys.argv[1:4]
calls, t0, t1, c0, c1, k0, k1, clock, rss, live = map(float, sys.argv[4:])
last = lambda name: json.loads(open(f"{folder}/{name}").read().strip().splitlines()[-1])
carrier, agent = last("carrier"), last("agent")
cpu, span = (c1 - c0) / clock, t1 - t0
print(json.dumps({
    "carrier": line, "agent": voice, "calls": int(calls), "seconds": round(span, 1),
    "cpu_share_of_a_core": round(cpu / span, 3),
    "cpu_s_per_1000_call_s": round(cpu / span / calls * 1000, 3),
    "of_that_in_the_kernel": round((k1 - k0) / max(c1 - c0, 1), 2),
    "rss_mb": round(rss / 1024, 1), "rss_kb_per_call": round(rss / calls, 1),
    "stuck": carrier["calls_stuck"], "live_after": int(live), "by_status": carrier["by_status"], "errors": carrier["errors"],
    "agent_to_caller": carrier["from_agent"], "barge_in": carrier["barge_in"], "at_agent": agent,
}))
PY
