// One stream for all tabs of a browser: the tab that holds the lock opens it and passes everything on to the others.
//
// A browser allows six connections to one server over HTTP/1.1, and a stream keeps one. When the tab that leads is
// closed, the browser gives the lock to the next one. Where there are no locks (a page over plain http that is not on
// this machine) each tab has a stream of its own.

// `lead(send)` opens the stream; `all()` says what a tab that comes later has to know; `receive(message)` gets what the
// leading tab sends, in every tab. Returns `say(message)`, which tells all other tabs.
export function share(name, { lead, all, receive }) {
  const channel = "BroadcastChannel" in globalThis ? new BroadcastChannel(name) : null;
  let leads = false;

  channel?.addEventListener("message", ({ data }) => {
    if (data.kind === "who") {
      if (leads) channel.postMessage({ kind: "all", ...all() });
    } else if (!leads || data.kind === "dismiss") {
      receive(data);
    }
  });

  function begin() {
    leads = true;
    lead((message) => {
      receive(message);
      channel?.postMessage(message);
    });
    return new Promise(() => {}); // until the tab is closed
  }

  if (channel && navigator.locks) {
    navigator.locks.request(name, begin);
    channel.postMessage({ kind: "who" });
  } else {
    begin();
  }
  return { say: (message) => channel?.postMessage(message), leads: () => leads };
}
