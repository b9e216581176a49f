// What else tells an agent that the phone rings: a notification, a ringing tone, the record in the CRM. The tab that
// leads does this, so that ten tabs do not ring ten times.

import { nameOf, recordOf, stateOf } from "./card.js";

const RING_EVERY = 3000; // milliseconds

export class Alerts {
  #choices;
  #words;
  #hint;
  #notes = new Map();
  #ringing = new Set();
  #opened = new Set();
  #audio = null;
  #timer = null;

  // `choices()` and `words()` say what holds now; `hint(key)` shows what the agent has to allow.
  constructor({ choices, words, hint }) {
    this.#choices = choices;
    this.#words = words;
    this.#hint = hint;
  }

  // A card has changed (`card` is null for one that has left).
  changed(card, before) {
    const id = (card ?? before).card;
    const rings = card?.state === "ringing" && card.direction !== "outbound";
    if (rings) this.#ringing.add(id);
    else this.#ringing.delete(id);
    this.#ring();
    if (rings) this.#note(card);
    else this.#forget(id);
    if (card) this.#open(card);
  }

  // The agent wants notifications: ask the browser. Call it from a click.
  async askToNotify() {
    if (!("Notification" in globalThis) || !isSecureContext) this.#hint("needsHttps");
    else if ((await Notification.requestPermission()) !== "granted") this.#hint("noNotify");
    else return true;
    return false;
  }

  // The agent wants the tone: let it be heard once. Call it from a click.
  tryTone() {
    this.#tone();
  }

  #note(card) {
    if (!this.#choices().notify || !document.hidden || !("Notification" in globalThis)) return;
    if (Notification.permission !== "granted") return;
    const words = this.#words();
    const body = [card.number.display, card.queue && words("queue", { queue: card.queue })].filter(Boolean).join(" · ");
    try {
      const note = new Notification(`${stateOf(card, words)}: ${nameOf(card, words)}`, {
        body,
        tag: card.card, // the one that is there is replaced, and does not sound again
        silent: true,
      });
      note.addEventListener("click", () => {
        focus();
        note.close();
      });
      this.#notes.set(card.card, note);
    } catch {
      this.#hint("noNotify"); // some browsers on telephones have the name and not the thing
    }
  }

  #forget(id) {
    this.#notes.get(id)?.close();
    this.#notes.delete(id);
  }

  #ring() {
    const on = this.#choices().sound && this.#ringing.size > 0;
    if (on && this.#timer === null) {
      this.#tone();
      this.#timer = setInterval(() => (this.#choices().sound ? this.#tone() : this.#ring()), RING_EVERY);
    } else if (!on && this.#timer !== null) {
      clearInterval(this.#timer);
      this.#timer = null;
    }
  }

  // Two soft double tones, made by the browser: no file.
  #tone() {
    this.#audio ??= new AudioContext();
    if (this.#audio.state === "suspended") {
      this.#audio.resume();
      this.#hint("soundHint");
    }
    const now = this.#audio.currentTime;
    for (const begin of [0, 0.22]) {
      for (const hertz of [587.3, 740]) {
        const tone = this.#audio.createOscillator();
        const volume = this.#audio.createGain();
        tone.frequency.value = hertz;
        volume.gain.setValueAtTime(0.0001, now + begin);
        volume.gain.exponentialRampToValueAtTime(0.08, now + begin + 0.03);
        volume.gain.exponentialRampToValueAtTime(0.0001, now + begin + 0.18);
        tone.connect(volume).connect(this.#audio.destination);
        tone.start(now + begin);
        tone.stop(now + begin + 0.2);
      }
    }
  }

  // Open the record of a caller who is one contact and no other. Nobody is guessed.
  #open(card) {
    const record = recordOf(card);
    if (!record || card.state !== this.#choices().open || this.#opened.has(card.call_id)) return;
    this.#opened.add(card.call_id);
    const tab = window.open(record, "callbridge-crm");
    if (tab) tab.opener = null;
    else this.#hint("popupHint");
  }
}
