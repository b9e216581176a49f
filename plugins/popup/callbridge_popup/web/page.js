// The agent's page.

import { Alerts } from "./alerts.js";
import { CardView, nameOf, spoken } from "./card.js";
import { Deck, received } from "./deck.js";
import { share } from "./share.js";
import { follow } from "./stream.js";
import { LOCALES, wordsOf } from "./words.js";

const at = (id) => document.getElementById(id);
const views = new Map();
let words;
let status = "connecting";
let hello = { extensions: [] };

// --- what the agent has chosen ---------------------------------------------------------------------------------------

const STORED = "callbridge-popup";
const form = at("choices");
let choices = { notify: false, sound: false, open: "never", theme: "auto", locale: document.documentElement.lang };
recall();

function recall() {
  try {
    choices = { ...choices, ...JSON.parse(localStorage.getItem(STORED) ?? "{}") };
  } catch {
    // nothing that can be read is stored: the defaults hold
  }
  if (!LOCALES.includes(choices.locale)) choices.locale = "en";
}

async function choose({ target }) {
  const value = target.type === "checkbox" ? target.checked : target.value;
  hint("");
  choices[target.name] = value;
  if (target.name === "notify" && value) choices.notify = target.checked = await alerts.askToNotify();
  if (target.name === "sound" && value) alerts.tryTone();
  localStorage.setItem(STORED, JSON.stringify(choices));
  show();
}

function hint(key) {
  at("hint").textContent = key && words(key);
  if (key) at("settings").open = true;
}

// --- what is shown ---------------------------------------------------------------------------------------------------

function show() {
  words = wordsOf(choices.locale);
  document.documentElement.lang = choices.locale;
  document.documentElement.dataset.theme = choices.theme;
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = words(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", words(element.dataset.label));
    element.title = words(element.dataset.label);
  }
  for (const field of form.elements) {
    if (field.type === "checkbox") field.checked = choices[field.name];
    else if (field.name) field.value = choices[field.name];
  }
  for (const [id, view] of views) view.draw(deck.cards.get(id), looks());
  showStatus();
  showCount();
}

function showStatus() {
  const isOnline = status === "online";
  document.body.dataset.status = status;
  at("status").textContent = words(isOnline ? "online" : status === "connecting" ? "connecting" : "offline");
  at("offline").textContent = words(status === "busy" ? "busy" : "offlineMore");
  at("offline").hidden = isOnline || status === "connecting";
  at("extensions").replaceChildren(
    ...hello.extensions.map((extension) => {
      const chip = document.createElement("span");
      chip.textContent = extension;
      return chip;
    }),
  );
  at("extensions").setAttribute("aria-label", hello.extensions.map((extension) => words("extension", { extension })).join(", "));
}

function showCount() {
  const ringing = deck.all.find((card) => card.state === "ringing");
  at("nothing").hidden = deck.cards.size > 0;
  document.title = ringing ? `☎ ${nameOf(ringing, words)}` : `${words("title")} · callbridge`;
}

function looks() {
  return { words, locale: choices.locale, dismiss };
}

function changed(card, before) {
  const id = (card ?? before).card;
  if (!card) {
    views.get(id)?.element.remove();
    views.delete(id);
  } else if (views.has(id)) {
    views.get(id).draw(card, looks());
  } else {
    const view = new CardView(card, looks());
    views.set(id, view);
    at("cards").prepend(view.element);
  }
  const isNews = card && (card.state !== before?.state || (card.state === "ringing" && !before?.contacts && card.contacts));
  if (isNews) at("said").textContent = spoken(card, words);
  showCount();
  if (shared?.leads()) alerts.changed(card, before);
}

// --- where it comes from ---------------------------------------------------------------------------------------------

function receive(message) {
  if (message.kind === "call") deck.take(message.card);
  else if (message.kind === "dismiss") deck.dismiss(message.card);
  else if (message.kind === "hello") greet(message.hello);
  else if (message.kind === "status") tell(message.status);
  else if (message.kind === "all") {
    message.cards.forEach((card) => deck.take(card));
    greet(message.hello);
    tell(message.status);
  }
}

function greet(said) {
  hello = said;
  if (said.ended_for) deck.greet(said);
  if (said.cards) deck.keepOnly(said.cards);
  showStatus();
}

function tell(said) {
  if (said === "refused") location.reload(); // to the page one signs in on
  status = said;
  showStatus();
}

function dismiss(id) {
  const { element } = views.get(id);
  const next = element.nextElementSibling ?? element.previousElementSibling;
  const hadFocus = element.contains(document.activeElement);
  deck.dismiss(id);
  shared.say({ kind: "dismiss", card: id });
  if (hadFocus) next?.focus();
}

function lead(send) {
  follow("stream", {
    receive: (event, data) => {
      if (event === "call") send({ kind: "call", card: received(data) });
      else if (event === "hello") send({ kind: "hello", hello: data });
    },
    tell: (said) => send({ kind: "status", status: said }),
  });
}

const deck = new Deck(changed, "callbridge-popup-dismissed");
const alerts = new Alerts({ choices: () => choices, words: () => words, hint });
let shared = null;
show();
shared = share(`callbridge:${location.pathname}:${document.documentElement.dataset.grant}`, {
  lead,
  all: () => ({ cards: [...deck.cards.values()], hello: { ...hello, cards: [...deck.cards.keys()] }, status }),
  receive,
});

form.addEventListener("change", choose);
addEventListener("storage", () => {
  recall();
  show();
});
addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const settings = at("settings");
  const focused = document.activeElement?.closest?.(".card");
  if (settings.open) {
    settings.open = false;
    settings.querySelector("summary").focus();
  } else if (focused ?? deck.all[0]) dismiss(focused?.dataset.card ?? deck.all[0].card);
});
addEventListener("click", ({ target }) => {
  if (!at("settings").contains(target)) at("settings").open = false;
});
setInterval(() => views.forEach((view) => view.tick()), 1000);
