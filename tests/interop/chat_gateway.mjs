// The official Socket.IO client on /chat/v1: refusals, the flow of older clients word for word, voice,
// errors that keep the connection, acknowledgements, clear, resuming. Polling or websocket.
import { readFileSync } from "node:fs";
import { io } from "socket.io-client";

const [url, token, transport, speechFile] = process.argv.slice(2);
const transports = transport === "polling" ? ["polling"] : ["websocket", "polling"];
const within = (promise, what, ms = 20000) =>
  Promise.race([
    promise,
    new Promise((_, no) => setTimeout(() => no(new Error(`timed out: ${what}`)), ms)),
  ]);
const once = (socket, event, what) =>
  within(new Promise((yes) => socket.once(event, yes)), what ?? event);
const check = (condition, text) => {
  if (!condition) throw new Error(`failed: ${text}`);
  console.log(`ok ${text}`);
};
const dial = (auth, query) => io(`${url}/chat/v1`, {
  transports, query, auth: { token, ...auth }, reconnection: false, forceNew: true,
});
/** What one answer was: its chunks, then its text. */
const answer = (socket) => within(new Promise((yes) => {
  const chunks = [];
  const audio = (message) => chunks.push(message);
  socket.on("audio", audio);
  socket.once("text", (text) => { socket.off("audio", audio); yes({ chunks, text }); });
}), "an answer");

const refused = io(`${url}/chat/v1`, { transports, auth: { token: "wb_wrong", agentId: "pipeline" }, reconnection: false, forceNew: true });
check((await once(refused, "connect_error")).message === "unauthorized", "a wrong token is a connect_error");
refused.close();

for (const [auth, message] of [[{}, "No agent ID provided"], [{ agentId: "nobody" }, "Agent with ID nobody not found"]]) {
  const socket = dial(auth);
  const order = [];
  socket.on("connect", () => order.push("connect"));
  socket.on("error", (error) => order.push(error.message));
  const reason = await once(socket, "disconnect");
  check(JSON.stringify(order) === JSON.stringify(["connect", message]) && reason === "io server disconnect",
    `in, told "${message}", out (${reason})`);
  socket.close();
}

// As the older sample client does it: agent in the query, welcome, a line, its answer.
const socket = dial({}, { agentId: "pipeline" });
const session = once(socket, "session");
const welcome = await answer(socket);
check(welcome.text.data === "Hello, this is the rehearsal agent. How can I help?", "the welcome is word for word");
const metas = welcome.chunks.map((chunk) => chunk.meta_info);
check(metas[0].is_first_chunk && metas.filter((meta) => meta.is_first_chunk).length === 1, "one first chunk");
check(metas.at(-1).end_of_llm_stream && metas.at(-1).end_of_synthesizer_stream
  && metas.filter((meta) => meta.end_of_synthesizer_stream).length === 1, "one last chunk");
check(metas.every((meta) => meta.format === "wav" && meta.message_category === "agent_welcome_message"
  && meta.sequence_id === 1 && meta.cached === false && !("stream_sid" in meta)), "truthful meta_info");
check(welcome.chunks.every((chunk) => Buffer.from(chunk.data, "base64").subarray(0, 4).toString() === "RIFF"),
  "every chunk is a WAV file");
socket.emit("text", { data: "When are you open?" });
const reply = await answer(socket);
check(reply.text.data.startsWith("We are open from nine to five"), "a text is answered");
check(reply.chunks.every((chunk) => chunk.meta_info.message_category === "agent_response"
  && chunk.meta_info.sequence_id === 2), "the answer is numbered");

// A whole utterance, µ-law in base64 with a stream id, and the same as a binary attachment.
const speech = readFileSync(speechFile);
for (const [name, data] of [["base64", speech.toString("base64")], ["binary", speech]]) {
  const ack = await within(new Promise((yes) => socket.emit("audio",
    { data, meta_info: { stream_sid: "MZ1", format: "mulaw", sequence_id: 1795219200000 } }, yes)), "ack");
  check(ack.ok === true, `${name} audio is accepted`);
  const said = await answer(socket);
  check(said.text.data.startsWith("Yes, Mill Street, second floor."), `${name} audio is understood`);
  check(said.chunks.every((chunk) => chunk.meta_info.stream_sid === "MZ1"
    && chunk.meta_info.in_reply_to === 1795219200000), "stream_sid and sequence_id are echoed");
}

// Mistakes: told, acknowledged, survived.
for (const [event, payload, code] of [
  ["audio", { data: "not base64!" }, "bad_base64"],
  ["audio", { data: speech.toString("base64"), meta_info: { format: "opus" } }, "wrong_format"],
  ["audio", { data: Buffer.alloc(700_000) }, "too_large"],
  ["audio", undefined, "no_audio"],
  ["text", { data: 7 }, "no_text"],
]) {
  const told = once(socket, "error", code);
  const ack = await within(new Promise((yes) => socket.emit(event, payload, yes)), `ack of ${code}`);
  const error = await told;
  check(error.code === code && error.message && error.where && ack.ok === false && ack.error.code === code,
    `${code}: ${error.message}`);
}
check(socket.connected, "the connection is kept");

// Five turns at once: one is on, four wait, the sixth is too many.
const busy = once(socket, "error", "busy");
for (let n = 0; n < 6; n += 1) socket.emit("text", { data: "tell me a long story" });
check((await busy).message === "busy", "a sixth turn is busy");
await once(socket, "audio");
const cleared = once(socket, "clear");
socket.emit("clear");
check((await cleared).data === null, "clear is echoed");
let late = 0;
socket.on("audio", () => { late += 1; });
await new Promise((yes) => setTimeout(yes, 1500));
check(late === 0, "no audio of that turn follows");
socket.removeAllListeners("audio");

// The connection breaks: the conversation waits, and remembers.
const { session: key, resumed } = await session;
check(key && resumed === false, "the session has a key");
socket.io.engine.close();
const again = dial({ agentId: "pipeline", session: key });
check((await once(again, "session")).resumed === true, "the same conversation again");
again.emit("text", { data: "bye" });
check((await answer(again)).text.data.startsWith("Thank you for calling."), "it goes on");
const reason = await within(new Promise((yes) => again.once("ended", yes)), "the agent hangs up");
check(reason.reason === "hung up", "the agent can hang up");
process.exit(0);
