// Server-sent events out of a stream of text, by the rules of the HTML standard as far as this API uses them: name and
// data of each event. Pure; nothing of what comes may grow without bound.

/** Far more than a piece of an answer; what is longer is not from this API. */
export const EVENT_CHARACTERS_MAX = 1 << 20;

export type ServerEvent = { name: string; data: string };

export class EventParser {
  #name = "";
  #line = "";
  #data: string[] = [];
  #size = 0;
  #afterReturn = false;

  /** The events that end in this piece of text. Throws if one is too long. */
  push(text: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    let from = 0;
    for (let at = 0; at < text.length; at += 1) {
      const character = text[at];
      if (character !== "\n" && character !== "\r") continue;
      const secondHalf = character === "\n" && this.#afterReturn && at === from && this.#line === "";
      this.#afterReturn = character === "\r";
      if (!secondHalf) this.#end(text.slice(from, at), events);
      from = at + 1;
    }
    if (from < text.length) {
      this.#afterReturn = false;
      this.#line += text.slice(from);
    }
    this.#check(this.#line.length);
    return events;
  }

  #end(rest: string, events: ServerEvent[]): void {
    const line = this.#line + rest;
    this.#line = "";
    if (line === "") {
      if (this.#data.length > 0) events.push({ name: this.#name || "message", data: this.#data.join("\n") });
      [this.#name, this.#data, this.#size] = ["", [], 0];
      return;
    }
    const name = /^event: ?(.*)$/s.exec(line);
    if (name) this.#name = name[1] ?? "";
    const data = /^data(?:: ?(.*))?$/s.exec(line);
    // Comments keep the line alive; other fields are not used here.
    if (!data) return;
    this.#check(line.length);
    this.#size += line.length;
    this.#data.push(data[1] ?? "");
  }

  #check(more: number): void {
    if (this.#size + more > EVENT_CHARACTERS_MAX) throw new Error("The node sent an event that is too long.");
  }
}
