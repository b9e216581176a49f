// Follows the stream of Server-Sent Events, and comes back after whatever interrupts it.
//
// fetch and not EventSource: it can send a token in a header, sees the heartbeats (and so a connection that is dead, as
// after sleep), and hears when to come back.

const SILENCE = 40_000; // milliseconds without a byte, of which one comes every 15 s
const SHORTEST = 500;
const LONGEST = 10_000;

// `receive(event, data)` gets every event; `tell(state)` hears "connecting", "online", "offline", "busy", "refused".
// Returns a function that ends it.
export function follow(url, { token, receive, tell }) {
  let isOver = false;
  let lastId = "";
  let current = null;
  let wake = () => {};
  const anew = () => wake();
  const lost = () => current?.abort();
  addEventListener("online", anew);
  addEventListener("offline", lost);

  async function run() {
    let wait = SHORTEST;
    tell("connecting");
    while (!isOver) {
      let pause = jittered(wait);
      try {
        const answer = await open();
        if (answer.status === 401 || answer.status === 403) {
          tell("refused");
          return;
        }
        if (!answer.ok) {
          pause = Math.max(pause, 1000 * Number(answer.headers.get("Retry-After") ?? 0));
          tell(answer.status === 503 ? "busy" : "offline");
        } else {
          await read(answer.body);
          wait = SHORTEST;
          pause = jittered(wait); // it was closed in good order: that is no news until it cannot be opened again
        }
      } catch {
        if (!isOver) tell("offline");
      }
      current?.abort();
      wait = Math.min(LONGEST, wait * 2);
      await new Promise((done) => {
        wake = done;
        setTimeout(done, pause);
      });
    }
  }

  function open() {
    current = new AbortController();
    const headers = { Accept: "text/event-stream" };
    if (token) headers.Authorization = `Bearer ${token}`;
    if (lastId) headers["Last-Event-ID"] = lastId;
    const credentials = token ? "omit" : "same-origin";
    return fetch(url, { headers, credentials, cache: "no-store", signal: current.signal });
  }

  async function read(body) {
    const mine = current;
    let heardAt = Date.now();
    const watch = setInterval(() => Date.now() - heardAt > SILENCE && mine.abort(), 5000);
    try {
      const reader = body.pipeThrough(new TextDecoderStream()).getReader();
      const parser = new Parser();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        heardAt = Date.now();
        for (const { id, event, data } of parser.take(value)) {
          if (id) lastId = id;
          if (event === "hello") tell("online");
          receive(event, JSON.parse(data));
        }
      }
    } finally {
      clearInterval(watch);
    }
  }

  run();
  return () => {
    isOver = true;
    removeEventListener("online", anew);
    removeEventListener("offline", lost);
    current?.abort();
    wake();
  };
}

function jittered(milliseconds) {
  return milliseconds * (0.5 + Math.random() / 2);
}

class Parser {
  #rest = "";
  #fields = {};

  *take(text) {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (this.#fields.data) yield this.#fields;
        this.#fields = {};
      } else if (!line.startsWith(":")) {
        const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line);
        this.#fields[name] = value;
      }
    }
  }
}
