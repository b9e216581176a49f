// The cards on this screen: what the stream says, without what was dismissed and what is over.

const LEFT_ALONE = 180_000; // milliseconds a card rings for when nothing more is heard of it
const MOST_DISMISSED = 50;

export class Deck {
  cards = new Map();
  endedFor = 20_000;
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
      const stays = { ringing: LEFT_ALONE, ended: this.endedFor }[card.state];
      clearTimeout(this.#timers.get(id));
      if (stays) this.#timers.set(id, setTimeout(() => this.#remove(id), Math.max(0, card.at + stays - Date.now())));
      this.#changed(card, before);
    }
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
