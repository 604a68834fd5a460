// A small backend of the older call-dashboard family, on the official Socket.IO server: default
// namespace, no authentication, no sequence numbers, the event shapes such backends really send.
import http from "node:http";
import { Server } from "socket.io";

const sid = "CA" + "c".repeat(32);
const call = {
  sid, status: "ringing", to: "+15557650000", from: "+15551230000",
  startTime: new Date().toISOString(), duration: 0, answeredBy: "unknown", recordingCount: 0,
};
let ended = false;
const now = () => new Date().toISOString();

const web = http.createServer((request, response) => {
  const reply = (status, body) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  };
  if (request.url === "/healthz") return reply(200, { status: "ok" });
  if (request.method === "GET" && request.url === "/api/calls/active")
    return reply(200, { success: true, data: { calls: ended ? [] : [call], count: ended ? 0 : 1 }, message: "", timestamp: now() });
  if (request.method === "POST" && request.url === `/api/calls/${sid}/terminate`) {
    ended = true;
    reply(200, { success: true, data: { success: true, callSid: sid, status: "completed", timestamp: now() } });
    update("call_ended", { ...call, status: "completed", duration: 5, endTime: now() });
    io.emit("active_calls", []);
    return;
  }
  reply(404, { success: false, error: { code: "CALL_NOT_FOUND", message: "no such call" } });
});
const io = new Server(web, { pingInterval: 10000, pingTimeout: 5000, cors: { origin: "*" } });
const update = (type, data) =>
  io.to("call-updates").emit("call_update", { type, callSid: sid, timestamp: now(), data });

io.on("connection", (socket) => {
  socket.emit("active_calls", ended ? [] : [call]);
  socket.on("subscribe_to_calls", () => {
    socket.join("call-updates");
    socket.emit("active_calls", ended ? [] : [call]);
    talkWhenHeard(socket);
  });
  socket.on("subscribe_to_transcripts", () => {
    socket.join("transcript-updates");
    talkWhenHeard(socket);
  });
});

// The two subscriptions are two messages: what is said between them is heard by nobody.
function talkWhenHeard(socket) {
  if (!ended && socket.rooms.has("call-updates") && socket.rooms.has("transcript-updates")) setImmediate(talk);
}

let talked = false;
function talk() {
  if (talked) return;
  talked = true;
  call.status = "in-progress";
  update("status_update", call);
  // The older family announces the same fact twice; a client must not show it twice.
  update("status_update", call);
  update("elevenlabs_connected", { status: "elevenlabs_connected", timestamp: now() });
  const words = "Hello from the older backend".split(" ");
  words.forEach((_, index) => io.to("transcript-updates").emit("transcript_update", {
    callSid: sid, type: "message",
    data: { text: words.slice(0, index + 1).join(" "), message: words.slice(0, index + 1).join(" "),
            role: "agent", speaker: "Agent", timestamp: now(), isPartial: index + 1 < words.length },
  }));
  io.to("transcript-updates").emit("transcript_message", {
    callSid: sid, message: { role: "user", message: "I can hear you\u001b]0;owned\u0007 well", timestamp: now() }, timestamp: now(),
  });
}

web.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: web.address().port, sid })));
