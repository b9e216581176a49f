// What embed.js loads: events for the page of the CRM, and the card in a shadow root, which its styles do not reach.

import { CardView } from "./card.js";
import { Deck, received } from "./deck.js";
import { share } from "./share.js";
import { follow } from "./stream.js";
import { wordsOf } from "./words.js";

const HERE = new URL(".", import.meta.url);

export async function start(script) {
  const { token = "", card: place, locale, theme } = script.dataset;
  const box = place === undefined ? null : await Box.open(place, locale, theme);
  const deck = new Deck((card, before) => box?.changed(card, before), "callbridge-dismissed");
  const fire = (name, detail) => document.dispatchEvent(new CustomEvent(name, { bubbles: true, detail }));
  let last = { status: "connecting", hello: {} };

  function receive(message) {
    if (message.kind === "call") {
      deck.take(message.card);
      fire("callbridge:call", message.card);
    } else if (message.kind === "dismiss") {
      deck.dismiss(message.card);
    } else if (message.kind === "hello") {
      last = { ...last, hello: message.hello };
      deck.greet(message.hello);
      box?.speak(locale ?? message.hello.locale);
      deck.keepOnly(message.hello.cards);
    } else if (message.kind === "status") {
      last = { ...last, status: message.status };
      fire("callbridge:status", { status: message.status });
    } else if (message.kind === "all") {
      message.cards.forEach((card) => receive({ kind: "call", card }));
      if (message.hello.ended_for) receive({ kind: "hello", hello: message.hello });
      receive({ kind: "status", status: message.status });
    }
  }

  const shared = share(`callbridge:${HERE}:${token.slice(-8)}`, {
    lead: (send) =>
      follow(new URL("stream", HERE), {
        token,
        receive: (event, data) => {
          if (event === "call") send({ kind: "call", card: received(data) });
          else if (event === "hello") send({ kind: "hello", hello: data });
        },
        tell: (status) => send({ kind: "status", status }),
      }),
    all: () => ({ ...last, hello: { ...last.hello, cards: [...deck.cards.keys()] }, cards: [...deck.cards.values()] }),
    receive,
  });
  if (box) {
    box.dismiss = (id) => {
      deck.dismiss(id);
      shared.say({ kind: "dismiss", card: id });
    };
  }
}

class Box {
  dismiss = () => {};
  #views = new Map();
  #cards = new Map();
  #list;
  #said;
  #locale = "en";

  static async open(place, locale, theme) {
    const box = new Box();
    const style = new CSSStyleSheet();
    await style.replace(await (await fetch(new URL("card.css", HERE), { credentials: "omit" })).text());
    const host = document.createElement("callbridge-card");
    const root = host.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [style];
    box.#list = root.appendChild(document.createElement("div"));
    box.#list.className = "cards embedded";
    box.#list.dataset.place = place || "bottom-right";
    box.#list.dataset.theme = theme ?? "auto";
    box.#said = root.appendChild(document.createElement("p"));
    box.#said.className = "unseen";
    box.#said.setAttribute("aria-live", "assertive");
    box.#locale = locale ?? "en";
    document.body.append(host);
    root.addEventListener("keydown", (event) => {
      const card = event.target.closest(".card");
      if (event.key === "Escape" && card) box.dismiss(card.dataset.card);
    });
    setInterval(() => box.#views.forEach((view) => view.tick()), 1000);
    return box;
  }

  speak(locale) {
    this.#locale = locale;
    for (const [id, view] of this.#views) view.draw(this.#cards.get(id), this.#looks());
  }

  changed(card, before) {
    const id = (card ?? before).card;
    if (!card) {
      this.#views.get(id)?.element.remove();
      this.#views.delete(id);
      this.#cards.delete(id);
      return;
    }
    this.#cards.set(id, card);
    if (this.#views.has(id)) this.#views.get(id).draw(card, this.#looks());
    else {
      const view = new CardView(card, this.#looks());
      this.#views.set(id, view);
      this.#list.prepend(view.element);
    }
    if (card.state !== before?.state) this.#said.textContent = this.#views.get(id).element.getAttribute("aria-label");
  }

  #looks() {
    return { words: wordsOf(this.#locale), locale: this.#locale, dismiss: (id) => this.dismiss(id) };
  }
}
