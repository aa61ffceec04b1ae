/**
 * Which messages a decoder accepts, from one `instantiate` or `restoreState` to the next.
 *
 * It accepts every number that the direction's window accepts, in a message of its class's type. Text messages are for
 * the methods that take base64, raw ones for those that take bytes. If a message has announced that more follow in its
 * response, only those are accepted, not ones that follow in another response. If none has announced any, all are
 * accepted, because some clients restore a decoder again for the body.
 */

import {
  DecodeError,
  followingOf,
  type MessageHeader,
  type MessageType,
  placeFits,
  UNKNOWN_FOLLOWING,
} from "@mte-relay/core";
import type { Taker } from "../codec/opener.js";
import type { DecoderDirection } from "./decoder-direction.js";

/** The maximum number of expected messages; beyond it, the oldest are dropped. */
const LIMIT = 64;
const RAW = 0x80;

/** A message that comes next in its response. */
interface Awaited {
  readonly place: number;
  /** It was announced; otherwise the sender did not know. */
  readonly announced: boolean;
}

export class DecoderSession {
  readonly direction: DecoderDirection;
  readonly #type: MessageType;
  /** By number. */
  readonly #awaited = new Map<number, Awaited>();

  constructor(direction: DecoderDirection, type: MessageType) {
    this.direction = direction;
    this.#type = type;
  }

  /** Creates the opener of one message. `raw`: it was received as bytes, not as base64. */
  taker(raw: boolean): Taker {
    return {
      check: (header) => {
        this.direction.check(header.number);
        this.#checkPlace(header, raw);
      },
      epochSecret: (number) => this.direction.epochSecret(number),
      commit: (header) => {
        this.direction.commit(header.number);
        this.#await(header);
      },
    };
  }

  #checkPlace({ type, place, number }: MessageHeader, raw: boolean): void {
    if (type !== this.#type) throw new DecodeError("out of place", `type ${type}`);
    if (((place & RAW) !== 0) !== raw) throw new DecodeError("out of place", raw ? "a text" : "not a text");
    if (indexOf(place) === 0 || ![...this.#awaited.values()].some(({ announced }) => announced)) return;
    const awaited = this.#awaited.get(number);
    if (awaited === undefined || !isNext(place & ~RAW, awaited)) {
      throw new DecodeError("out of place", `place ${place} of number ${number}`);
    }
  }

  #await({ place, number }: MessageHeader): void {
    this.#awaited.delete(number);
    const following = followingOf(place);
    if (following === 0 || indexOf(place) === 7 || this.direction.has(number + 1)) return;
    const announced = following !== UNKNOWN_FOLLOWING;
    const left = announced ? following - 1 : UNKNOWN_FOLLOWING;
    this.#awaited.set(number + 1, { place: ((indexOf(place) + 1) << 4) | left, announced });
    for (const oldest of this.#awaited.keys()) {
      if (this.#awaited.size <= LIMIT) break;
      this.#awaited.delete(oldest);
    }
  }
}

function indexOf(place: number): number {
  return (place >> 4) & 7;
}

/** If the sender did not know what follows the previous message, it may know now. */
function isNext(got: number, awaited: Awaited): boolean {
  return awaited.announced ? placeFits(got, awaited.place) : indexOf(got) === indexOf(awaited.place);
}
