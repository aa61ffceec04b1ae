/** The stream format of server-sent events (HTML standard, "Interpreting an event stream"). */

/** One event. */
export interface StreamEvent {
  type: string;
  data: string;
  lastEventId: string;
}

/** Parses text, in chunks of any size, into events. `lastEventId` and `retry` are the stream's latest values. */
export class EventStream {
  retry: number | undefined;
  /** The incomplete last line. */
  #rest = "";
  #data: string[] = [];
  #dataLength = 0;
  #type = "";
  #id: string;
  #begun = false;

  constructor(
    private readonly limit: number,
    public lastEventId = "",
  ) {
    this.#id = lastEventId;
  }

  /** The events that this text completes. Throws a RangeError beyond the limit. */
  push(text: string): StreamEvent[] {
    if (text === "") return [];
    this.#rest += text;
    if (!this.#begun) {
      this.#begun = true;
      if (this.#rest.startsWith("\ufeff")) this.#rest = this.#rest.slice(1);
    }
    const events: StreamEvent[] = [];
    let at = 0;
    const end = /\r\n|\r|\n/g;
    for (let found = end.exec(this.#rest); found !== null; found = end.exec(this.#rest)) {
      // A carriage return at the end may be the first half of a CRLF.
      if (found[0] === "\r" && end.lastIndex === this.#rest.length) break;
      const event = this.#line(this.#rest.slice(at, found.index));
      if (event !== undefined) events.push(event);
      at = end.lastIndex;
    }
    this.#rest = this.#rest.slice(at);
    if (this.#rest.length + this.#dataLength > this.limit) {
      throw new RangeError(`an event has more than ${this.limit} characters`);
    }
    return events;
  }

  #line(line: string): StreamEvent | undefined {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#type = value;
    else if (field === "data") {
      this.#data.push(value);
      this.#dataLength += value.length + 1;
    } else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "retry" && /^[0-9]+$/.test(value)) this.retry = Number(value);
    return undefined;
  }

  #dispatch(): StreamEvent | undefined {
    this.lastEventId = this.#id;
    const event = { type: this.#type || "message", data: this.#data.join("\n"), lastEventId: this.#id };
    const nothing = this.#data.length === 0;
    this.#data = [];
    this.#dataLength = 0;
    this.#type = "";
    return nothing ? undefined : event;
  }
}
