// Talk to an agent over Socket.IO: `node talk.mjs URL AGENT [speech.wav]`.
// Type a line to say it; `clear` makes the agent be quiet, `exit` or the end of the input leaves.
// With a WAV file it says that first. Answers are written to answer-N.wav.
// Needs: npm install socket.io-client. A token, if the server wants one: WALLBOARD_TOKEN.
import { readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const [url = "http://127.0.0.1:8787", agentId = "pipeline", speech] = process.argv.slice(2);
let session = null; // finds the conversation again after a lost connection,
let since = 0;      // from the answer after this one
const socket = io(`${url}/chat/v1`, {
  auth: (send) => send({ agentId, session, since, token: process.env.WALLBOARD_TOKEN, format: "pcm" }),
});

let answer = []; // the chunks of one answer
const wav = (pcm, rate) => {
  const head = Buffer.alloc(44);
  head.write("RIFF"); head.writeUInt32LE(36 + pcm.length, 4); head.write("WAVEfmt ", 8);
  head.writeUInt32LE(16, 16); head.writeUInt16LE(1, 20); head.writeUInt16LE(1, 22);
  head.writeUInt32LE(rate, 24); head.writeUInt32LE(rate * 2, 28);
  head.writeUInt16LE(2, 32); head.writeUInt16LE(16, 34);
  head.write("data", 36); head.writeUInt32LE(pcm.length, 40);
  return Buffer.concat([head, pcm]);
};

socket.on("session", (news) => {
  session = news.session;
  console.log(news.resumed ? "[back in the conversation]" : `[connected to ${news.agentId}]`);
  if (speech && !news.resumed) {
    socket.emit("audio", { data: readFileSync(speech), meta_info: { format: "wav" } });
  }
});
socket.on("audio", ({ data, meta_info: meta }) => {
  if (meta.is_first_chunk) answer = [];
  answer.push(Buffer.from(data, "base64"));
  if (meta.end_of_synthesizer_stream) {
    const file = `answer-${meta.sequence_id}.wav`;
    writeFileSync(file, wav(Buffer.concat(answer), meta.sample_rate));
    console.log(`[${file}]`);
  }
});
socket.on("text", ({ data, meta_info: meta }) => {
  since = meta.sequence_id;
  console.log(`Agent: ${data}`);
  if (meta.message_category === "agent_response") open = Math.max(0, open - 1);
  if (over && open === 0) leave();
});
socket.on("clear", () => { answer = []; });
socket.on("error", ({ message, hint }) => console.error(`! ${message}${hint ? ` (${hint})` : ""}`));
socket.on("connect_error", (error) => console.error(`! ${error.message}`));
socket.on("ended", ({ reason }) => { console.log(`[ended: ${reason}]`); process.exit(0); });
socket.on("disconnect", (why) => { if (why.startsWith("io ")) process.exit(0); });

// Leaves for sure: a socket that is not connected just now has no goodbye to wait for.
const leave = () => { socket.disconnect(); setTimeout(() => process.exit(0), 300); };
let open = speech ? 1 : 0; // turns without an answer yet
let over = false;          // the input has ended: what is open is still waited for, a minute at most
createInterface({ input: process.stdin }).on("line", (line) => {
  const text = line.trim();
  if (text === "exit") leave();
  else if (text === "clear") { open = 0; socket.emit("clear"); }
  else if (text) { open += 1; socket.emit("text", { data: text }); }
}).on("close", () => {
  over = true;
  if (open === 0) leave();
  else setTimeout(leave, 60_000).unref();
});
