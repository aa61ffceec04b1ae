/**
 * All directions that this JavaScript realm knows, by their identifiers. Clients restore one saved state several times
 * concurrently, so a state may be outdated; the registry never is.
 *
 * It is stored on the global object, because a program can load this package twice (as ES module and as CommonJS, or
 * bundled twice), and both must share one counter.
 */

import type { State } from "./blob.js";
import { DecoderDirection } from "./decoder-direction.js";
import { EncoderDirection } from "./encoder-direction.js";

/** The maximum number of directions kept per side; the least recently used one is dropped from memory. */
const LIMIT = 16_384;
const KEY = Symbol.for("@mte-relay/mte-compat directions 1");

interface Directions {
  readonly encoders: Map<string, EncoderDirection>;
  readonly decoders: Map<string, DecoderDirection>;
}

function directions(): Directions {
  const realm = globalThis as { [KEY]?: Directions };
  if (realm[KEY] === undefined) {
    Object.defineProperty(realm, KEY, { value: { encoders: new Map(), decoders: new Map() } });
  }
  return realm[KEY]!;
}

function find<T extends { raise(state: State): void }>(
  known: Map<string, T>,
  make: (state: State) => T,
  state: State,
): T {
  const key = state.id.join();
  let direction = known.get(key);
  if (direction === undefined) direction = make(state);
  else direction.raise(state);
  known.delete(key);
  known.set(key, direction);
  for (const oldest of known.keys()) {
    if (known.size <= LIMIT) break;
    known.delete(oldest);
  }
  return direction;
}

/** The direction of a state, advanced to that state if it is behind. */
export function encoderDirection(state: State): EncoderDirection {
  return find(directions().encoders, (first) => new EncoderDirection(first), state);
}

export function decoderDirection(state: State): DecoderDirection {
  return find(directions().decoders, (first) => new DecoderDirection(first), state);
}
