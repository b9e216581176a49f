// The cards on this screen: what the stream says, without what was dismissed and what is over.

const LONGEST = 2 ** 31 - 1; // milliseconds a timer can be set to
const MOST_DISMISSED = 50;

export class Deck {
  cards = new Map();
  #stays = { ringing: 180_000, ended: 20_000 }; // milliseconds, until the stream has greeted
  #timers = new Map();
  #changed;
  #memory;

  // `changed(card, before)` is called after every change; `card` is null for one that has left. `memory` names what the
  // browser remembers of dismissed cards, for all tabs and after a reload.
  constructor(changed, memory) {
    this.#changed = changed;
    this.#memory = memory;
  }

  // The newest first.
  get all() {
    return [...this.cards.values()].reverse();
  }

  // A card as the stream sends it; `at` is when its state began, by this computer's clock.
  take(card) {
    const id = card.card;
    if (card.state === "gone") {
      this.#remove(id);
    } else if (!this.#dismissed.includes(id)) {
      const before = this.cards.get(id) ?? null;
      this.cards.set(id, card);
      this.#wait(card);
      this.#changed(card, before);
    }
  }

  // What the stream greets with: how long a card stays that rings while nothing more is heard of it, or that has ended.
  greet({ ringing_for: ringing, ended_for: ended }) {
    this.#stays = { ringing: 1000 * ringing, ended: 1000 * ended };
    for (const card of this.cards.values()) this.#wait(card);
  }

  // What is on the screen but not in this list has gone while nobody heard.
  keepOnly(ids) {
    const held = new Set(ids);
    for (const [id, card] of this.cards) if (!held.has(id) && card.state !== "ended") this.#remove(id);
  }

  dismiss(id) {
    localStorage.setItem(this.#memory, [...this.#dismissed.slice(-MOST_DISMISSED), id].join(" "));
    this.#remove(id);
  }

  get #dismissed() {
    return (localStorage.getItem(this.#memory) ?? "").split(" ");
  }

  #wait({ card: id, state, at }) {
    const stays = this.#stays[state];
    clearTimeout(this.#timers.get(id));
    if (stays) this.#timers.set(id, setTimeout(() => this.#remove(id), Math.min(LONGEST, Math.max(0, at + stays - Date.now()))));
  }

  #remove(id) {
    const before = this.cards.get(id);
    clearTimeout(this.#timers.get(id));
    this.#timers.delete(id);
    if (this.cards.delete(id)) this.#changed(null, before);
  }
}

// The card with the moment its state began: the stream says how many seconds that is ago.
export function received(card) {
  return { ...card, at: Date.now() - 1000 * card.since };
}
