// An AI Flow app in Express: a webhook on /webhook and a WebSocket on /ws, without any SDK. Written after the public
// documents. `AI_FLOW_SHARED_SECRET=… node app.js PORT`; it prints the port that it listens on.
const crypto = require("node:crypto");
const http = require("node:http");
const express = require("express");
const { WebSocketServer } = require("ws");

const secret = process.env.AI_FLOW_SHARED_SECRET;
const calls = new Map();

function isTrusted(request) {
  if (!secret) return true;
  const given = crypto.createHash("sha256").update(request.headers["x-api-token"] ?? "").digest();
  return crypto.timingSafeEqual(given, crypto.createHash("sha256").update(secret).digest());
}

function stateOf(session) {
  if (!calls.has(session.id)) calls.set(session.id, { timeouts: 0, turns: 0 });
  return calls.get(session.id);
}

function answer(event) {
  const session_id = event.session.id;
  const state = stateOf(event.session);
  const speak = (text, more = {}) => ({ type: "speak", session_id, text, ...more });
  switch (event.type) {
    case "session_start":
      return speak("Welcome to the parcel line. Say your parcel number, or press the star key for a person.", {
        user_input_timeout_seconds: 8,
        barge_in: { strategy: "minimum_characters", minimum_characters: 3 },
        tts: { provider: "azure", language: "en-US", voice: "en-US-JennyNeural" },
      });
    case "user_speak": {
      state.timeouts = 0;
      state.turns += 1;
      if (/\b(bye|goodbye)\b/i.test(event.text)) return [speak("Goodbye!"), { type: "hangup", session_id }];
      if (event.barged_in) return speak("I am listening.");
      return speak(`You said ${event.text}. That was turn ${state.turns}.`, { user_input_timeout_seconds: 8 });
    }
    case "dtmf_received":
      if (event.digit === "*") {
        return [
          { type: "barge_in", session_id },
          speak("One moment, I will connect you."),
          {
            type: "transfer",
            session_id,
            target_phone_number: "+4921155660",
            caller_id_name: "Parcel line",
            caller_id_number: "+4921155661",
            timeout: 30,
          },
        ];
      }
      return speak(`Key ${event.digit}.`);
    case "user_input_timeout":
      state.timeouts += 1;
      if (state.timeouts >= 3) return [speak("Please call again."), { type: "hangup", session_id }];
      return speak("Are you still there?", { user_input_timeout_seconds: 5 });
    case "session_end":
      calls.delete(session_id);
      return null;
    default:
      return null;
  }
}

const app = express();
app.use((request, response, next) => (isTrusted(request) ? next() : response.status(401).json({ error: "token" })));
app.use(express.json({ limit: "8mb" }));
app.post("/webhook", (request, response) => {
  const event = request.body;
  if (!event?.type || !event?.session?.id) return response.status(400).json({ error: "no event" });
  const actions = answer(event);
  return actions ? response.json(actions) : response.status(204).send();
});

const server = http.createServer(app);
const sockets = new WebSocketServer({ server, path: "/ws", verifyClient: ({ req }) => isTrusted(req) });
sockets.on("connection", (socket) => {
  socket.on("error", (error) => console.error("socket:", error.message));
  socket.on("message", (data) => {
    let event;
    try {
      event = JSON.parse(data.toString());
    } catch (error) {
      console.error("no JSON:", error.message);
      return;
    }
    const actions = answer(event);
    if (actions) socket.send(JSON.stringify(actions));
  });
});
server.listen(Number(process.argv[2] ?? 3000), "127.0.0.1", () => console.log(`listening on ${server.address().port}`));
