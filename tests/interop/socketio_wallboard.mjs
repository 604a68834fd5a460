// The official Socket.IO client on /wallboard: refusal, hello, snapshot, ping, commands, one reply each.
import { io } from "socket.io-client";

const [url, token, transport] = process.argv.slice(2);
const transports = transport === "polling" ? ["polling"] : ["websocket"];
const within = (promise, what, ms = 5000) =>
  Promise.race([
    promise,
    new Promise((_, no) => setTimeout(() => no(new Error(`timed out: ${what}`)), ms)),
  ]);
const once = (socket, event, what) =>
  within(new Promise((yes) => socket.once(event, yes)), what ?? event);
let id = 0;
const uuid = () =>
  `0190a000-0000-7000-8000-${String(++id).padStart(6, "0")}${String(process.pid % 1e6).padStart(6, "0")}`;

const check = (condition, text) => {
  if (!condition) throw new Error(`failed: ${text}`);
  console.log(`ok ${text}`);
};

const refused = io(`${url}/wallboard`, { transports, auth: { token: "wb_wrong" }, reconnection: false });
const error = await once(refused, "connect_error");
check(error.message === "unauthorized", `a wrong token is refused as "unauthorized" (${error.message})`);
refused.close();

const socket = io(`${url}/wallboard`, {
  transports, auth: { token, client: "interop", v: 1 }, reconnection: false,
});
const hello = await once(socket, "hello");
check(hello.v === 1 && hello.epoch && Array.isArray(hello.verbs), "hello names version, epoch and verbs");

const snapshotParts = [];
const gotSnapshot = new Promise((yes) =>
  socket.on("snapshot", (part) => {
    snapshotParts.push(part);
    if (snapshotParts.length === part.parts) yes();
  }));
socket.emit("resume", { id: uuid(), epoch: null, since: null });
await within(gotSnapshot, "snapshot");
check(snapshotParts.every((part) => Array.isArray(part.calls)), "resume without a place gives a snapshot");

const pingId = uuid();
const pong = once(socket, "reply", "reply to ping");
socket.emit("ping", { id: pingId });
check((await pong).id === pingId, "ping is answered by a reply with its id");

const commandId = uuid();
let replies = 0;
socket.on("reply", (reply) => { if (reply.id === commandId) replies += 1; });
const ack = await within(
  new Promise((yes) => socket.emit("command",
    { id: commandId, call: uuid(), verb: "terminate", args: {} }, yes)), "ack of a command");
check(ack.id === commandId && ack.ok === false && ack.error.code === "not_found",
  `ending an unknown call is refused as not_found (${JSON.stringify(ack.error)})`);
const again = once(socket, "reply", "a second ping");
socket.emit("ping", { id: uuid() });
await again;
check(replies === 1, "a command is answered by exactly one reply event beside the ack");

const seqs = [];
const ended = new Promise((yes) => socket.on("envelopes", (batch) => {
  for (const item of batch.items) {
    seqs.push(item.seq);
    if (item.event.type === "call_ended") yes();
  }
}));
console.log("ready");
process.stdin.resume();
process.stdin.once("data", async () => {
  await within(ended, "the end of the call");
  const sorted = seqs.every((seq, index) => index === 0 || seq === seqs[index - 1] + 1);
  check(seqs.length > 0, `facts arrived (${seqs.length})`);
  check(sorted, "facts arrive in order without gaps");
  process.exit(0);
});
