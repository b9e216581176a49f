// Draws a card. What callers and directories say goes into the page as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";
const PHONE =
  "M6.5 3.5 9 3l2 4.5-2 1.6a12 12 0 0 0 5.9 5.9l1.6-2L21 15l-.5 2.5c-.4 1.9-1.6 3-3.5 3A14 14 0 0 1 3.5 7c0-1.9 1.1-3.1 3-3.5Z";
const CROSS = "M6 6l12 12M18 6 6 18";

export class CardView {
  #parts;
  #card;
  #words;
  #locale;

  constructor(card, { words, locale, dismiss }) {
    this.element = make("article", "card");
    this.element.tabIndex = 0;
    this.element.dataset.card = card.card;
    const part = (tag, name, parent = this.element) => parent.appendChild(make(tag, name));
    const top = part("header", "top");
    const face = part("div", "face");
    const who = make("div", "who");
    face.append(make("span", "picture"), who);
    const actions = make("footer", "actions");
    this.#parts = {
      state: part("span", "state", top),
      timer: part("time", "timer", top),
      close: part("button", "close", top),
      picture: face.firstChild,
      name: part("h2", "name", who),
      company: part("p", "company", who),
      number: part("p", "number", who),
      where: part("p", "where"),
      contacts: part("ul", "contacts"),
      note: part("p", "note"),
      history: part("section", "history"),
      actions,
    };
    this.element.append(actions);
    this.#parts.close.type = "button";
    this.#parts.close.append(icon(CROSS));
    this.#parts.close.addEventListener("click", () => dismiss(card.card));
    this.draw(card, { words, locale });
  }

  // Show the card as it is now.
  draw(card, { words, locale }) {
    this.#card = card;
    this.#words = words;
    this.#locale = locale;
    const name = nameOf(card, words);
    const parts = this.#parts;
    this.element.dataset.state = card.state === "ended" && card.result ? card.result : card.state;
    this.element.setAttribute("aria-label", spoken(card, words));
    parts.close.title = words("dismiss");
    parts.close.setAttribute("aria-label", words("dismissNamed", { name }));
    set(parts.state, stateOf(card, words));
    set(parts.name, name);
    parts.name.title = name;
    set(parts.company, card.contacts?.length === 1 ? card.contacts[0].company : "");
    set(parts.number, name === card.number.display ? "" : card.number.display);
    parts.picture.replaceChildren(initials(card) || icon(PHONE));
    parts.where.replaceChildren(...this.#places().map((text) => make("span", "place", text)));
    parts.where.hidden = !parts.where.firstChild;
    this.#drawContacts();
    this.#drawHistory();
    this.tick();
  }

  // Let the timer go on.
  tick() {
    const { state, at, talk_seconds: talked } = this.#card;
    const running = state === "ringing" || state === "talking";
    set(this.#parts.timer, running ? duration((Date.now() - at) / 1000) : talked ? duration(talked) : "");
  }

  #places() {
    const { queue, line, extension } = this.#card;
    const words = this.#words;
    return [
      queue && words("queue", { queue }),
      line && words("line", { line }),
      words("extension", { extension }),
    ].filter(Boolean);
  }

  #drawContacts() {
    const { contacts, new_url: newUrl } = this.#card;
    const { note, contacts: list, actions } = this.#parts;
    const words = this.#words;
    const one = contacts?.length === 1 ? contacts[0] : null;
    set(note, one?.note);
    list.hidden = !(contacts?.length > 1);
    list.replaceChildren(
      ...(list.hidden ? [] : contacts).map((contact) => {
        const item = make("li", "contact");
        const text = make("div", "who");
        text.append(make("strong", "", contact.name));
        if (contact.company) text.append(make("span", "company", contact.company));
        if (contact.note) text.append(make("span", "note", contact.note));
        item.append(text);
        const open = link(contact.url, words("open"), "open small");
        open?.setAttribute("aria-label", words("openNamed", { name: contact.name }));
        if (open) item.append(open);
        return item;
      }),
    );
    const open = link(one?.url, words("open"), "open");
    const create = link(newUrl, words("create"), "open");
    actions.replaceChildren(...[open, create].filter(Boolean));
    actions.hidden = !actions.firstChild;
  }

  #drawHistory() {
    const { history } = this.#card;
    const section = this.#parts.history;
    section.hidden = history.length === 0;
    if (section.hidden) return;
    const list = make("ul");
    list.append(
      ...history.slice(0, 5).map((call) => {
        const item = make("li", "past");
        item.dataset.state = call.state;
        const way = make("span", "way", { inbound: "↙", outbound: "↗", internal: "↔" }[call.direction] ?? "·");
        way.title = call.direction ? this.#words(call.direction) : "";
        item.append(way, make("span", "result", past(call, this.#words)), make("time", "when", moment(call.at, this.#locale)));
        return item;
      }),
    );
    section.replaceChildren(make("h3", "", this.#words("history")), list);
  }
}

// Whom the card is about, in a few words.
export function nameOf(card, words) {
  if (card.contacts?.length === 1) return card.contacts[0].name;
  if (card.contacts?.length > 1) return words("several", { count: card.contacts.length });
  if (card.number.kind === "extension") return words("colleague", { number: card.number.display });
  if (card.number.kind === "withheld") return words("withheld");
  if (card.contacts) return words(card.direction === "outbound" ? "unknownCalled" : "unknown");
  return card.number.display;
}

// How the call stands, in a word or two.
export function stateOf(card, words) {
  if (card.state === "ringing") return words(card.direction === "outbound" ? "calling" : "ringing");
  if (card.state === "talking") return words("talking");
  return words(["completed", "missed", "unanswered"].includes(card.result) ? card.result : "ended");
}

// The card in a sentence, for who listens.
export function spoken(card, words) {
  const names = card.contacts?.length > 1 ? card.contacts.map((one) => one.name).join(", ") : nameOf(card, words);
  const number = card.number.display;
  return `${stateOf(card, words)}: ${names}${number && number !== names ? `, ${number}` : ""}`;
}

// A contact's page in the CRM, where the card names exactly one.
export function recordOf(card) {
  return card.contacts?.length === 1 ? safe(card.contacts[0].url) : null;
}

function past(call, words) {
  if (call.state === "completed") {
    const values = { talked: duration(call.talk_seconds ?? 0), by: call.answered_by };
    return words(`past${call.talk_seconds ? "Completed" : "Answered"}${call.answered_by ? "By" : ""}`, values);
  }
  if (call.state === "missed") {
    return call.wait_seconds ? words("pastMissedWaited", { waited: duration(call.wait_seconds) }) : words("pastMissed");
  }
  return words(call.state === "unanswered" ? "pastUnanswered" : "pastUnder");
}

function moment(iso, locale) {
  if (!iso) return "";
  const at = new Date(iso);
  const today = at.toDateString() === new Date().toDateString();
  return at.toLocaleString(locale === "en" ? "en-GB" : locale, today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
}

function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

function initials(card) {
  const name = card.contacts?.length === 1 ? card.contacts[0].name : "";
  const words = name.split(/\s+/).filter((word) => /^\p{L}/u.test(word));
  const letters = [words[0], words.length > 1 ? words.at(-1) : ""].map((word) => [...(word ?? "")][0] ?? "");
  return letters.join("").toLocaleUpperCase("tr");
}

function safe(url) {
  return /^https?:\/\//i.test(url ?? "") ? url : null;
}

function link(url, text, name) {
  if (!safe(url)) return null;
  const element = make("a", name, text);
  element.href = url;
  element.target = "callbridge-crm";
  element.rel = "noreferrer";
  return element;
}

function make(tag, name = "", text = "") {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text) element.textContent = text;
  return element;
}

function set(element, text) {
  if (element.textContent !== (text ?? "")) element.textContent = text ?? "";
  element.hidden = !text;
}

function icon(path) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", path);
  drawing.append(line);
  return drawing;
}
