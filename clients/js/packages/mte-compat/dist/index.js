// ../core/src/errors.ts
var DecodeError = class extends Error {
  name = "DecodeError";
  reason;
  constructor(reason, detail) {
    super(detail === void 0 ? reason : `${reason}: ${detail}`);
    this.reason = reason;
  }
};

// ../core/src/base64.ts
var SHAPE = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
var PIECE = 8192;
function toBase64(bytes) {
  let binary = "";
  for (let at = 0; at < bytes.length; at += PIECE) {
    binary += String.fromCharCode(...bytes.subarray(at, at + PIECE));
  }
  return btoa(binary);
}
function fromBase64(text) {
  if (!SHAPE.test(text)) throw new DecodeError("malformed", "not base64");
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at);
  const tail = binary.length - (binary.length % 3 || 3);
  if (tail >= 0 && toBase64(bytes.subarray(tail)) !== text.slice(-4)) {
    throw new DecodeError("malformed", "base64 with stray bits");
  }
  return bytes;
}

// ../core/src/bytes.ts
var encoder = /* @__PURE__ */ new TextEncoder();
function utf8(text) {
  return encoder.encode(text);
}
function concat(...parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
function u16(value) {
  return Uint8Array.of(value >>> 8, value);
}
function u32(value) {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}
function readU32(bytes, at = 0) {
  return (bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3]) >>> 0;
}
function wipe(...secrets) {
  for (const secret of secrets) secret.fill(0);
}
function own(bytes) {
  return bytes.buffer instanceof ArrayBuffer ? bytes : new Uint8Array(bytes);
}

// ../core/src/names.ts
var MKE = 1;
var MTE = 2;

// ../core/src/header.ts
var HEADER_SIZE = 26;
var SALT_SIZE = 16;
var NUMBER_LIMIT = 2 ** 32;
function makeHeader(type, place2, number, salt) {
  if (salt.length !== SALT_SIZE) throw new RangeError(`a header takes ${SALT_SIZE} random bytes`);
  const bytes = new Uint8Array(HEADER_SIZE);
  bytes[0] = type;
  bytes[1] = place2;
  bytes.set(u32(Math.floor(number / NUMBER_LIMIT)), 2);
  bytes.set(u32(number % NUMBER_LIMIT), 6);
  bytes.set(salt, 10);
  return { type, place: place2, number, bytes };
}
function readHeader(data) {
  if (data.length < HEADER_SIZE) throw new DecodeError("truncated", "shorter than a header");
  const bytes = data.slice(0, HEADER_SIZE);
  const type = bytes[0];
  if (type !== MKE && type !== MTE) throw new DecodeError("malformed", `no message type ${type}`);
  const number = readU32(bytes, 2) * NUMBER_LIMIT + readU32(bytes, 6);
  return { type, place: bytes[1], number, bytes };
}

// ../core/src/tokens.ts
var BLOCK = 64;
var LENGTH_SIZE = 4;
function paddedLength(length) {
  return Math.ceil((LENGTH_SIZE + length) / BLOCK) * BLOCK;
}
function makeTokens(plaintext, filler) {
  const padded = paddedLength(plaintext.length);
  if (filler.length !== padded)
    throw new RangeError(`${padded} filler bytes are needed, not ${filler.length}`);
  const tokens = new Uint8Array(2 * padded);
  const length = u32(plaintext.length);
  for (let at = 0; at < LENGTH_SIZE; at++) tokens[2 * at] = length[at];
  for (let at = 0; at < plaintext.length; at++) tokens[2 * (LENGTH_SIZE + at)] = plaintext[at];
  for (let at = 0; at < padded; at++) tokens[2 * at + 1] = filler[at];
  return tokens;
}
function readTokens(tokens) {
  if (tokens.length === 0 || tokens.length % (2 * BLOCK) !== 0) {
    throw new DecodeError("malformed", "a token string that is no multiple of 128 bytes");
  }
  const padded = new Uint8Array(tokens.length / 2);
  for (let at = 0; at < padded.length; at++) padded[at] = tokens[2 * at];
  const length = readU32(padded);
  if (paddedLength(length) !== padded.length) throw new DecodeError("malformed", "the padding does not fit");
  const end = LENGTH_SIZE + length;
  let stray = 0;
  for (let at = end; at < padded.length; at++) stray |= padded[at];
  if (stray !== 0) throw new DecodeError("malformed", "the padding is not of zeros");
  return padded.slice(LENGTH_SIZE, end);
}

// ../core/src/frames.ts
var HEAD_SIZE = 4;
var TAG_SIZE = 16;
var FRAME_OVERHEAD = HEAD_SIZE + TAG_SIZE;
var MAX_FRAME = 65536;
var FINAL = 2147483648;
function frameHead(length, final) {
  return u32(final ? (length | FINAL) >>> 0 : length);
}
function frameNonce(index) {
  return concat(u32(0), u32(Math.floor(index / 2 ** 32)), u32(index % 2 ** 32));
}
var FrameReader = class {
  #chunks = [];
  #buffered = 0;
  #header;
  #index = 0;
  #finished = false;
  /** Takes bytes; they must not change afterwards. */
  push(chunk) {
    if (chunk.length === 0) return;
    if (this.#finished) throw new DecodeError("trailing", "bytes after the final frame");
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
  }
  /** The header, once it is there. */
  header() {
    if (this.#header === void 0 && this.#buffered >= HEADER_SIZE) {
      this.#header = readHeader(this.#take(HEADER_SIZE));
    }
    return this.#header;
  }
  /** The next frame, if it is there as a whole. */
  next() {
    if (this.header() === void 0 || this.#finished || this.#buffered < HEAD_SIZE) return void 0;
    const word = readU32(this.#peekHead());
    const final = word >= FINAL;
    const length = final ? word - FINAL : word;
    if (length > MAX_FRAME) throw new DecodeError("malformed", "a frame of more than 65,536 bytes");
    if (length === 0 && !final) throw new DecodeError("malformed", "an empty frame before the last");
    if (this.#buffered < HEAD_SIZE + length + TAG_SIZE) return void 0;
    const head = this.#take(HEAD_SIZE);
    const frame = { index: this.#index++, final, head, sealed: this.#take(length + TAG_SIZE) };
    if (final) {
      this.#finished = true;
      if (this.#buffered > 0) throw new DecodeError("trailing", "bytes after the final frame");
    }
    return frame;
  }
  /** Whether the final frame was given out. */
  get finished() {
    return this.#finished;
  }
  /** To be called at the end of the input: throws if the message is not whole. */
  end() {
    if (!this.#finished) throw new DecodeError("truncated", "no final frame");
  }
  #peekHead() {
    const first = this.#chunks[0];
    if (first.length >= HEAD_SIZE) return own(first.subarray(0, HEAD_SIZE));
    const head = this.#take(HEAD_SIZE);
    this.#chunks.unshift(head);
    this.#buffered += HEAD_SIZE;
    return head;
  }
  /** The next `size` bytes, which must be there; copied only if they span chunks. */
  #take(size) {
    this.#buffered -= size;
    const first = this.#chunks[0];
    if (first !== void 0 && first.length >= size) {
      if (first.length === size) this.#chunks.shift();
      else this.#chunks[0] = first.subarray(size);
      return own(first.subarray(0, size));
    }
    const out = new Uint8Array(size);
    let at = 0;
    while (at < size) {
      const chunk = this.#chunks[0];
      const piece = chunk.subarray(0, size - at);
      out.set(piece, at);
      at += piece.length;
      if (piece.length === chunk.length) this.#chunks.shift();
      else this.#chunks[0] = chunk.subarray(piece.length);
    }
    return out;
  }
};

// ../core/src/kems.ts
var KEMS = [
  { id: 1, name: "ml-kem-512", keySize: 800, ciphertextSize: 768 },
  { id: 2, name: "ml-kem-768", keySize: 1184, ciphertextSize: 1088 },
  { id: 3, name: "ml-kem-1024", keySize: 1568, ciphertextSize: 1568 },
  { id: 4, name: "x-wing", keySize: 1216, ciphertextSize: 1120 }
];
function kemInfoOf(name) {
  const found = KEMS.find((kem) => kem.name === name);
  if (found === void 0) {
    throw new TypeError(
      `there is no KEM ${JSON.stringify(name)}: choose ${KEMS.map((kem) => kem.name).join(", ")}`
    );
  }
  return found;
}

// ../core/src/labels.ts
var ENTROPY_SIZE = 32;
function kemSalt() {
  return utf8("mte-open/1 kem");
}
function kemInfo(kemId, keyHash, ciphertextHash) {
  return concat(u16(kemId), keyHash, ciphertextHash);
}
function rootInfo(personalization, context = new Uint8Array()) {
  const text = utf8(personalization);
  if (text.length > 65535 || context.length > 65535) {
    throw new RangeError("a personalization string or context has at most 65,535 bytes");
  }
  return concat(utf8("mte-open/1 root"), u16(text.length), text, u16(context.length), context);
}
function epochInfo() {
  return utf8("mte-open/1 epoch");
}
function messageInfo(header) {
  return concat(utf8("mte-open/1 message"), header.bytes);
}
function messageKeysSize(type) {
  return type === MTE ? 64 : 32;
}

// ../core/src/place.ts
var UNKNOWN_FOLLOWING = 15;
function place(index, following, raw = false) {
  return (raw ? 128 : 0) | index << 4 | following;
}
function followingOf(place2) {
  return place2 & 15;
}
function placeFits(got, expected) {
  return got === expected || got === (expected | UNKNOWN_FOLLOWING);
}

// ../core/src/window.ts
var WINDOW_BACK = 511;
var WINDOW_AHEAD = 4096;
var EPOCH_MESSAGES = 32;
var SPAN = WINDOW_BACK + 1;
function epochOf(number) {
  return Math.floor(number / EPOCH_MESSAGES);
}

// src/status.ts
var MteStatus = /* @__PURE__ */ ((MteStatus2) => {
  MteStatus2[MteStatus2["mte_status_success"] = 0] = "mte_status_success";
  MteStatus2[MteStatus2["mte_status_cancelled"] = 1] = "mte_status_cancelled";
  MteStatus2[MteStatus2["mte_status_unsupported"] = 2] = "mte_status_unsupported";
  MteStatus2[MteStatus2["mte_status_drbg_catastrophic"] = 3] = "mte_status_drbg_catastrophic";
  MteStatus2[MteStatus2["mte_status_drbg_seedlife_reached"] = 4] = "mte_status_drbg_seedlife_reached";
  MteStatus2[MteStatus2["mte_status_entropy_too_short"] = 5] = "mte_status_entropy_too_short";
  MteStatus2[MteStatus2["mte_status_entropy_too_long"] = 6] = "mte_status_entropy_too_long";
  MteStatus2[MteStatus2["mte_status_nonce_invalid"] = 7] = "mte_status_nonce_invalid";
  MteStatus2[MteStatus2["mte_status_personalization_too_long"] = 8] = "mte_status_personalization_too_long";
  MteStatus2[MteStatus2["mte_status_uninstantiated"] = 9] = "mte_status_uninstantiated";
  MteStatus2[MteStatus2["mte_status_license_error"] = 10] = "mte_status_license_error";
  MteStatus2[MteStatus2["mte_status_invalid_input"] = 11] = "mte_status_invalid_input";
  MteStatus2[MteStatus2["mte_status_state_invalid"] = 12] = "mte_status_state_invalid";
  MteStatus2[MteStatus2["mte_status_token_does_not_exist"] = 13] = "mte_status_token_does_not_exist";
  MteStatus2[MteStatus2["mte_status_seq_outside_window"] = 14] = "mte_status_seq_outside_window";
  MteStatus2[MteStatus2["mte_status_seq_replayed"] = 15] = "mte_status_seq_replayed";
  MteStatus2[MteStatus2["mte_status_out_of_place"] = 16] = "mte_status_out_of_place";
  MteStatus2[MteStatus2["mte_status_incomplete"] = 17] = "mte_status_incomplete";
  MteStatus2[MteStatus2["mte_status_internal_error"] = 18] = "mte_status_internal_error";
  return MteStatus2;
})(MteStatus || {});
var DESCRIPTIONS = {
  [0 /* mte_status_success */]: "Success",
  [1 /* mte_status_cancelled */]: "The operation was cancelled",
  [2 /* mte_status_unsupported */]: "The operation is not possible now, or not with this class",
  [3 /* mte_status_drbg_catastrophic */]: "No entropy is set, or there is no secure source of random numbers",
  [4 /* mte_status_drbg_seedlife_reached */]: "All numbers of this direction are used up: pair anew",
  [5 /* mte_status_entropy_too_short */]: "The entropy has fewer than 32 bytes",
  [6 /* mte_status_entropy_too_long */]: "The entropy has more than 32 bytes",
  [7 /* mte_status_nonce_invalid */]: "The nonce is not set, or not a decimal number from 0 to 2^64 - 1",
  [8 /* mte_status_personalization_too_long */]: "The personalization string has more than 65,535 bytes",
  [9 /* mte_status_uninstantiated */]: "Neither instantiate nor restoreState was called",
  [10 /* mte_status_license_error */]: "License error",
  [11 /* mte_status_invalid_input */]: "The input is empty, of the wrong kind, or not base64",
  [12 /* mte_status_state_invalid */]: "The saved state is damaged, or of another side or version",
  [13 /* mte_status_token_does_not_exist */]: "The message is not authentic",
  [14 /* mte_status_seq_outside_window */]: "The message's number is too old or too far ahead",
  [15 /* mte_status_seq_replayed */]: "The message was decoded before",
  [16 /* mte_status_out_of_place */]: "The message is of another type or belongs elsewhere",
  [17 /* mte_status_incomplete */]: "The message is not complete",
  [18 /* mte_status_internal_error */]: "Internal error"
};
function statusName(status) {
  return MteStatus[status] ?? `mte_status_unknown_${status}`;
}
function statusDescription(status) {
  return DESCRIPTIONS[status] ?? `Unknown status ${status}`;
}

// src/version.ts
var VERSION = "0.1.0";

// src/base.ts
var DRBG = 1;
var MteBase = class {
  /** @internal */
  wasm;
  constructor(wasm) {
    this.wasm = wasm ?? null;
  }
  /** Always true: there is no license, and both arguments are ignored. */
  initLicense(_company, _key) {
    return true;
  }
  getStatusName(status) {
    return statusName(status);
  }
  getStatusDescription(status) {
    return statusDescription(status);
  }
  /** True for everything but success: there are no warnings. */
  statusIsError(status) {
    return status !== 0 /* mte_status_success */;
  }
  /** The version of this package. */
  getVersion() {
    return VERSION;
  }
  getDefaultDrbg() {
    return DRBG;
  }
  getDrbg() {
    return DRBG;
  }
  /** 32: entropy must have exactly so many bytes. Where the closed module says 0, it is a trial version. */
  getDrbgsEntropyMinBytes(_drbg) {
    return ENTROPY_SIZE;
  }
  /** 2^32: how many numbers a direction has. Callers pair anew when the counter comes near it. */
  getDrbgsReseedInterval(_drbg) {
    return NUMBER_LIMIT;
  }
  /** How many numbers of the direction are used. */
  getReseedCounter() {
    return 0;
  }
};

// src/codec/ciphers.ts
import { gcm } from "@noble/ciphers/aes.js";
import { chacha20 } from "@noble/ciphers/chacha.js";
var TOKEN_NONCE = new Uint8Array(12);
function sealFrame(key, index, data, final) {
  const head = frameHead(data.length, final);
  return concat(head, gcm(key, frameNonce(index), head).encrypt(data));
}
function openFrame(key, frame) {
  try {
    return gcm(key, frameNonce(frame.index), frame.head).decrypt(frame.sealed);
  } catch {
    throw new DecodeError("not authentic", `frame ${frame.index}`);
  }
}
function xorTokens(key, tokens) {
  return chacha20(key, TOKEN_NONCE, tokens);
}

// src/codec/schedule.ts
import { expand, extract } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
var ID_SIZE = 16;
function hkdf(ikm, salt, info) {
  const prk = extract(sha256, ikm, salt);
  const out = expand(sha256, prk, info, ENTROPY_SIZE);
  wipe(prk);
  return out;
}
function kemEntropy(kemId, sharedSecret, encapsulationKey, ciphertext) {
  return hkdf(sharedSecret, kemSalt(), kemInfo(kemId, sha256(encapsulationKey), sha256(ciphertext)));
}
function rootSecret(inputs) {
  const ikm = concat(inputs.entropy, inputs.auth ?? new Uint8Array());
  const root = hkdf(ikm, utf8(inputs.nonce), rootInfo(inputs.personalization, inputs.context));
  wipe(ikm);
  return root;
}
function directionId(root) {
  return expand(sha256, root, utf8("mte-compat direction"), ID_SIZE);
}
function laterEpoch(secret, steps) {
  let current = secret.slice();
  for (let step = 0; step < steps; step++) {
    const next = expand(sha256, current, epochInfo(), ENTROPY_SIZE);
    wipe(current);
    current = next;
  }
  return current;
}
function messageKeys(epochSecret, header) {
  const keys = expand(sha256, epochSecret, messageInfo(header), messageKeysSize(header.type));
  return { frames: keys.subarray(0, ENTROPY_SIZE), tokens: keys.subarray(ENTROPY_SIZE) };
}

// src/codec/opener.ts
var Opener = class {
  #taker;
  #reader = new FrameReader();
  #header;
  #keys;
  #tokens = [];
  constructor(taker) {
    this.#taker = taker;
  }
  /**
   * Takes bytes, which must not change afterwards, and gives the plaintext of the frames that they complete. MTE gives
   * nothing before `finish`. Throws DecodeError; the message is lost then.
   */
  push(chunk) {
    this.#reader.push(chunk);
    const keys = this.#keys ?? this.#start();
    if (keys === void 0) return new Uint8Array();
    const opened = [];
    for (let frame = this.#reader.next(); frame !== void 0; frame = this.#reader.next()) {
      const data = openFrame(keys.frames, frame);
      if (frame.index === 0) this.#taker.commit(this.#header);
      (this.#header.type === MTE ? this.#tokens : opened).push(data);
    }
    return concat(...opened);
  }
  /** To be called at the end of input. The plaintext of MTE, nothing for MKE. Throws DecodeError. */
  finish() {
    this.#reader.end();
    if (this.#header?.type !== MTE) return new Uint8Array();
    const bare = xorTokens(this.#keys.tokens, concat(...this.#tokens));
    try {
      return readTokens(bare);
    } finally {
      wipe(bare);
    }
  }
  /** Wipes the keys. */
  close() {
    if (this.#keys) wipe(this.#keys.frames, this.#keys.tokens);
  }
  #start() {
    const header = this.#reader.header();
    if (header === void 0) return void 0;
    this.#taker.check(header);
    const secret = this.#taker.epochSecret(header.number);
    this.#header = header;
    this.#keys = messageKeys(secret, header);
    wipe(secret);
    return this.#keys;
  }
};
function openWhole(taker, message) {
  const opener = new Opener(taker);
  try {
    const opened = opener.push(message);
    const rest = opener.finish();
    return rest.length > 0 ? rest : opened;
  } finally {
    opener.close();
  }
}

// src/state/blob.ts
import { sha256 as sha2562 } from "@noble/hashes/sha2.js";

// src/state/window.ts
var SPAN2 = WINDOW_BACK + 1;
var BITS_SIZE = SPAN2 / 8;
var StoredWindow = class {
  #highest;
  #bits;
  /** One that has taken nothing; or what `highest` and `bits` of another one said. */
  constructor(highest = -1, bits = new Uint8Array(BITS_SIZE)) {
    this.#highest = highest;
    this.#bits = bits.slice();
  }
  /** The highest number taken, -1 at first. */
  get highest() {
    return this.#highest;
  }
  /** The lowest number that may still be taken. */
  get lowest() {
    return Math.max(0, this.#highest - WINDOW_BACK);
  }
  /** A copy of its bits, `BITS_SIZE` bytes. */
  get bits() {
    return this.#bits.slice();
  }
  /** Throws DecodeError if the number may not be taken. */
  check(number) {
    if (number >= NUMBER_LIMIT) throw new DecodeError("exhausted", `number ${number}`);
    if (number < this.#highest - WINDOW_BACK || number > this.#highest + WINDOW_AHEAD) {
      throw new DecodeError("out of window", `number ${number}, highest ${this.#highest}`);
    }
    if (this.has(number)) throw new DecodeError("replayed", `number ${number}`);
  }
  /** Takes a number, once. Throws DecodeError. */
  take(number) {
    this.check(number);
    this.#reach(number);
    this.#mark(number);
  }
  /** Whether the number was taken and is still within reach. */
  has(number) {
    if (number < this.lowest || number > this.#highest) return false;
    return (this.#bits[number % SPAN2 >> 3] & 1 << number % 8) !== 0;
  }
  /** Takes everything that another window of the same direction has taken. */
  unite(other) {
    this.#reach(other.highest);
    for (let number = this.lowest; number <= other.highest; number++) {
      if (other.has(number)) this.#mark(number);
    }
  }
  #mark(number) {
    this.#bits[number % SPAN2 >> 3] |= 1 << number % 8;
  }
  /** Moves up to `number`, of which nothing is known yet. */
  #reach(number) {
    for (let gap = Math.max(this.#highest + 1, number - WINDOW_BACK); gap <= number; gap++) {
      this.#bits[gap % SPAN2 >> 3] &= ~(1 << gap % 8);
    }
    this.#highest = Math.max(this.#highest, number);
  }
};

// src/state/blob.ts
var MAGIC = utf8("MTEs");
var VERSION2 = 1;
var CHECK_SIZE = 8;
var ENCODER = 1;
var DECODER = 2;
function bitsSize(side) {
  return side === DECODER ? BITS_SIZE : 0;
}
function check(bytes) {
  return sha2562(bytes).subarray(0, CHECK_SIZE);
}
function isEqual(a, b) {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
function writeState(side, state) {
  const next = concat(u32(Math.floor(state.next / NUMBER_LIMIT)), u32(state.next % NUMBER_LIMIT));
  const body = concat(MAGIC, Uint8Array.of(VERSION2, side), state.id, next, state.bits, state.secret);
  return concat(body, check(body));
}
function readState(side, bytes) {
  const start = concat(MAGIC, Uint8Array.of(VERSION2, side));
  const bodySize = start.length + ID_SIZE + 8 + bitsSize(side) + ENTROPY_SIZE;
  if (bytes.length !== bodySize + CHECK_SIZE || !isEqual(bytes.subarray(0, start.length), start)) {
    return void 0;
  }
  if (!isEqual(check(bytes.subarray(0, bodySize)), bytes.subarray(bodySize))) return void 0;
  let at = start.length;
  const take = (size) => {
    at += size;
    return bytes.slice(at - size, at);
  };
  const id = take(ID_SIZE);
  const next = take(8);
  const number = readU32(next) * NUMBER_LIMIT + readU32(next, 4);
  if (number > NUMBER_LIMIT) return void 0;
  return { id, next: number, bits: take(bitsSize(side)), secret: take(ENTROPY_SIZE) };
}

// src/state/encoder-direction.ts
var NumbersUsedUp = class extends Error {
  constructor() {
    super("the direction's numbers are used up");
    this.name = "NumbersUsedUp";
  }
};
var EncoderDirection = class {
  #id;
  #next;
  /** Of the epoch of `#next`; older ones are gone. */
  #secret;
  constructor(state) {
    this.#id = state.id;
    this.#next = state.next;
    this.#secret = state.secret.slice();
  }
  /** The next number that nobody has. */
  get next() {
    return this.#next;
  }
  /** Gives out `count` numbers in a row, fewer at the direction's end. Throws NumbersUsedUp. */
  reserve(count) {
    if (this.#next >= NUMBER_LIMIT) throw new NumbersUsedUp();
    const end = Math.min(this.#next + count, NUMBER_LIMIT);
    const reservation = new Reservation(this.#next, end, this.#secret.slice());
    this.#moveTo(end, this.#secret, epochOf(this.#next));
    return reservation;
  }
  /** A stored state is a floor: numbers below it were given out, by whomever. */
  raise(state) {
    if (state.next > this.#next) this.#moveTo(state.next, state.secret, epochOf(state.next));
  }
  save() {
    return writeState(ENCODER, {
      id: this.#id,
      next: this.#next,
      bits: new Uint8Array(),
      secret: this.#secret
    });
  }
  /** `secret` is that of `epoch`, which is not later than that of `next`. */
  #moveTo(next, secret, epoch) {
    const later = laterEpoch(secret, epochOf(next) - epoch);
    wipe(this.#secret);
    this.#secret = later;
    this.#next = next;
  }
};
var Reservation = class {
  #next;
  #end;
  /** Of the epoch of `#next`. */
  #secret;
  constructor(first, end, secret) {
    this.#next = first;
    this.#end = end;
    this.#secret = secret;
  }
  /** How many numbers are left. */
  get left() {
    return this.#end - this.#next;
  }
  /** The next of them, with a copy of its epoch's secret; there must be one left. */
  take() {
    const number = this.#next++;
    const epochSecret = this.#secret.slice();
    if (this.left === 0) this.release();
    else this.#advance(epochOf(this.#next) - epochOf(number));
    return { number, epochSecret };
  }
  /** Gives up what is left: those numbers are never used. */
  release() {
    this.#next = this.#end;
    wipe(this.#secret);
  }
  #advance(epochs) {
    if (epochs === 0) return;
    const later = laterEpoch(this.#secret, epochs);
    wipe(this.#secret);
    this.#secret = later;
  }
};

// src/failure.ts
var Failure = class extends Error {
  status;
  constructor(status) {
    super(MteStatus[status]);
    this.name = "Failure";
    this.status = status;
  }
};
var DECODE_STATUS = {
  malformed: 13 /* mte_status_token_does_not_exist */,
  "not authentic": 13 /* mte_status_token_does_not_exist */,
  trailing: 13 /* mte_status_token_does_not_exist */,
  "too long": 11 /* mte_status_invalid_input */,
  "out of place": 16 /* mte_status_out_of_place */,
  "not consecutive": 16 /* mte_status_out_of_place */,
  truncated: 17 /* mte_status_incomplete */,
  replayed: 15 /* mte_status_seq_replayed */,
  "out of window": 14 /* mte_status_seq_outside_window */,
  exhausted: 14 /* mte_status_seq_outside_window */
};
function statusOf(error) {
  if (error instanceof Failure) return error.status;
  if (error instanceof DecodeError) return DECODE_STATUS[error.reason];
  if (error instanceof NumbersUsedUp) return 4 /* mte_status_drbg_seedlife_reached */;
  return 18 /* mte_status_internal_error */;
}

// src/input.ts
function bytesOf(value) {
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  throw new Failure(11 /* mte_status_invalid_input */);
}
function textOf(value) {
  if (typeof value !== "string") throw new Failure(11 /* mte_status_invalid_input */);
  return utf8(value);
}
function base64Of(value) {
  if (typeof value !== "string") throw new Failure(11 /* mte_status_invalid_input */);
  try {
    return fromBase64(value);
  } catch {
    throw new Failure(11 /* mte_status_invalid_input */);
  }
}
function nonceOf(value) {
  if (typeof value === "number" && !Number.isSafeInteger(value)) return void 0;
  const text = String(value).trim();
  if (!/^[0-9]{1,64}$/.test(text)) return void 0;
  const nonce = BigInt(text);
  return nonce < 2n ** 64n ? nonce.toString() : void 0;
}
function checkWindow(name, value, lowest) {
  const number = typeof value === "string" && value.trim() === "" ? Number.NaN : Number(value);
  if (!Number.isInteger(number) || number < lowest) {
    throw new RangeError(`${name} must be an integer from ${lowest} on, not ${String(value)}`);
  }
}

// src/endpoint.ts
var MteEndpoint = class extends MteBase {
  #entropy;
  #nonce;
  #destructed = false;
  /** Sets the 32 bytes that a KEM gave (`MteKyber`), and zeroes the array it is given. */
  setEntropyArr(entropy) {
    this.#setEntropy(() => {
      const given = bytesOf(entropy);
      const own2 = given.slice();
      wipe(given);
      return own2;
    });
  }
  /** The UTF-8 of the text must have 32 bytes. */
  setEntropyStr(entropy) {
    this.#setEntropy(() => textOf(entropy));
  }
  /** The base64 of 32 bytes. */
  setEntropyB64(entropy) {
    this.#setEntropy(() => base64Of(entropy));
  }
  /** A number from 0 to 2^64 - 1: its decimal text, or as `bigint`, or as `number` up to 2^53 - 1. */
  setNonce(nonce) {
    this.#nonce = nonceOf(nonce);
  }
  /**
   * Begins with the entropy and nonce that were set, which are forgotten, and a personalization string. A direction
   * that is known already goes on where it is.
   */
  instantiate(personalization = "") {
    return this.#attempt(() => {
      const entropy = this.#takeEntropy();
      try {
        const inputs = { entropy, nonce: this.#takeNonce(), personalization: String(personalization) };
        const root = rootOf(inputs);
        const bits = new Uint8Array(this.side === DECODER ? BITS_SIZE : 0);
        this.begin({ id: directionId(root), next: 0, bits, secret: root }, void 0);
        wipe(root);
      } finally {
        wipe(entropy);
      }
    });
  }
  /** The state as bytes; `null` if neither `instantiate` nor `restoreState` succeeded before. */
  saveState() {
    return this.session === void 0 ? null : this.save();
  }
  /** The state as base64. */
  saveStateB64() {
    const state = this.saveState();
    return state === null ? null : toBase64(state);
  }
  /** Begins with a saved state of either encode type. Numbers that were used since then stay used. */
  restoreState(state) {
    return this.#attempt(() => this.#restore(stateBytes(() => bytesOf(state))));
  }
  restoreStateB64(state) {
    return this.#attempt(() => this.#restore(stateBytes(() => base64Of(state))));
  }
  /** Forgets pair and secrets; `instantiate` and `restoreState` begin anew. */
  uninstantiate() {
    this.end();
    if (this.#entropy) wipe(this.#entropy);
    this.#entropy = void 0;
    this.#nonce = void 0;
    return 0 /* mte_status_success */;
  }
  /** `uninstantiate`, for good. */
  destruct() {
    this.uninstantiate();
    this.#destructed = true;
  }
  getReseedCounter() {
    return this.session?.direction.next ?? 0;
  }
  #attempt(action) {
    try {
      if (this.#destructed) throw new Failure(2 /* mte_status_unsupported */);
      action();
      return 0 /* mte_status_success */;
    } catch (error) {
      return statusOf(error);
    }
  }
  #restore(bytes) {
    const state = readState(this.side, bytes);
    if (state === void 0) throw new Failure(12 /* mte_status_state_invalid */);
    this.begin(state, stateName(bytes));
    wipe(state.secret);
  }
  #setEntropy(read) {
    if (this.#entropy) wipe(this.#entropy);
    try {
      this.#entropy = read();
    } catch {
      this.#entropy = void 0;
    }
  }
  #takeEntropy() {
    const entropy = this.#entropy;
    this.#entropy = void 0;
    if (entropy === void 0) throw new Failure(3 /* mte_status_drbg_catastrophic */);
    if (entropy.length === ENTROPY_SIZE) return entropy;
    wipe(entropy);
    const tooShort = entropy.length < ENTROPY_SIZE;
    throw new Failure(
      tooShort ? 5 /* mte_status_entropy_too_short */ : 6 /* mte_status_entropy_too_long */
    );
  }
  #takeNonce() {
    const nonce = this.#nonce;
    this.#nonce = void 0;
    if (nonce === void 0) throw new Failure(7 /* mte_status_nonce_invalid */);
    return nonce;
  }
};
function stateName(state) {
  return toBase64(state.subarray(-8));
}
function rootOf(inputs) {
  try {
    return rootSecret(inputs);
  } catch (error) {
    if (error instanceof RangeError) throw new Failure(8 /* mte_status_personalization_too_long */);
    throw error;
  }
}
function stateBytes(read) {
  try {
    return read();
  } catch {
    throw new Failure(12 /* mte_status_state_invalid */);
  }
}

// src/results.ts
var MteArrStatus = class {
  /** `null` unless the status is success. */
  arr;
  status;
  constructor(arr, status) {
    this.arr = arr;
    this.status = status;
  }
};
var MteStrStatus = class {
  /** `null` unless the status is success. */
  str;
  status;
  constructor(str, status) {
    this.str = str;
    this.status = status;
  }
};

// src/state/decoder-session.ts
var LIMIT = 64;
var RAW = 128;
var DecoderSession = class {
  direction;
  #type;
  /** By number. */
  #awaited = /* @__PURE__ */ new Map();
  constructor(direction, type) {
    this.direction = direction;
    this.#type = type;
  }
  /** What opens one message. `raw`: it came as bytes, not as base64. */
  taker(raw) {
    return {
      check: (header) => {
        this.direction.check(header.number);
        this.#checkPlace(header, raw);
      },
      epochSecret: (number) => this.direction.epochSecret(number),
      commit: (header) => {
        this.direction.commit(header.number);
        this.#await(header);
      }
    };
  }
  #checkPlace({ type, place: place2, number }, raw) {
    if (type !== this.#type) throw new DecodeError("out of place", `type ${type}`);
    if ((place2 & RAW) !== 0 !== raw) throw new DecodeError("out of place", raw ? "a text" : "not a text");
    if (indexOf(place2) === 0 || ![...this.#awaited.values()].some(({ announced }) => announced)) return;
    const awaited = this.#awaited.get(number);
    if (awaited === void 0 || !isNext(place2 & ~RAW, awaited)) {
      throw new DecodeError("out of place", `place ${place2} of number ${number}`);
    }
  }
  #await({ place: place2, number }) {
    this.#awaited.delete(number);
    const following = followingOf(place2);
    if (following === 0 || indexOf(place2) === 7 || this.direction.has(number + 1)) return;
    const announced = following !== UNKNOWN_FOLLOWING;
    const left = announced ? following - 1 : UNKNOWN_FOLLOWING;
    this.#awaited.set(number + 1, { place: indexOf(place2) + 1 << 4 | left, announced });
    for (const oldest of this.#awaited.keys()) {
      if (this.#awaited.size <= LIMIT) break;
      this.#awaited.delete(oldest);
    }
  }
};
function indexOf(place2) {
  return place2 >> 4 & 7;
}
function isNext(got, awaited) {
  return awaited.announced ? placeFits(got, awaited.place) : indexOf(got) === indexOf(awaited.place);
}

// src/state/decoder-direction.ts
var DecoderDirection = class {
  #id;
  #window;
  /** Of the oldest epoch that the window reaches; older ones are gone. */
  #secret;
  constructor(state) {
    this.#id = state.id;
    this.#window = windowOf(state);
    this.#secret = state.secret.slice();
  }
  /** The highest number taken, plus 1. */
  get next() {
    return this.#window.highest + 1;
  }
  /** Throws DecodeError if the number may not be taken. */
  check(number) {
    this.#window.check(number);
  }
  /** Whether the number was taken. */
  has(number) {
    return this.#window.has(number);
  }
  /** The secret of the epoch of a number that `check` lets pass; a copy. Changes nothing. */
  epochSecret(number) {
    return laterEpoch(this.#secret, epochOf(number) - epochOf(this.#window.lowest));
  }
  /** Takes the number. Throws DecodeError. */
  commit(number) {
    const oldest = epochOf(this.#window.lowest);
    this.#window.take(number);
    this.#keep(this.#secret, oldest);
  }
  /** A stored state is a floor: what it has taken is not taken again. */
  raise(state) {
    const other = windowOf(state);
    const ahead = other.highest > this.#window.highest;
    const secret = ahead ? state.secret : this.#secret;
    const oldest = epochOf((ahead ? other : this.#window).lowest);
    this.#window.unite(other);
    this.#keep(secret, oldest);
  }
  save() {
    return writeState(DECODER, {
      id: this.#id,
      next: this.next,
      bits: this.#window.bits,
      secret: this.#secret
    });
  }
  /** Keeps the secret of the oldest epoch in reach, which `secret`, that of `epoch`, leads to. */
  #keep(secret, epoch) {
    const steps = epochOf(this.#window.lowest) - epoch;
    if (steps === 0 && secret === this.#secret) return;
    const later = laterEpoch(secret, steps);
    wipe(this.#secret);
    this.#secret = later;
  }
};
function windowOf(state) {
  return new StoredWindow(state.next - 1, state.bits);
}

// src/state/registry.ts
var LIMIT2 = 16384;
var KEY = /* @__PURE__ */ Symbol.for("@mte-relay/mte-compat directions 1");
function directions() {
  const realm = globalThis;
  if (realm[KEY] === void 0) {
    Object.defineProperty(realm, KEY, { value: { encoders: /* @__PURE__ */ new Map(), decoders: /* @__PURE__ */ new Map() } });
  }
  return realm[KEY];
}
function find(known, make, state) {
  const key = state.id.join();
  let direction = known.get(key);
  if (direction === void 0) direction = make(state);
  else direction.raise(state);
  known.delete(key);
  known.set(key, direction);
  for (const oldest of known.keys()) {
    if (known.size <= LIMIT2) break;
    known.delete(oldest);
  }
  return direction;
}
function encoderDirection(state) {
  return find(directions().encoders, (first) => new EncoderDirection(first), state);
}
function decoderDirection(state) {
  return find(directions().decoders, (first) => new DecoderDirection(first), state);
}

// src/decoder.ts
var textDecoder = /* @__PURE__ */ new TextDecoder("utf-8", { ignoreBOM: true });
var MteDecoder = class extends MteEndpoint {
  /** @internal */
  side = DECODER;
  /** @internal */
  session;
  /**
   * Both windows are checked and have no effect: messages bear no time, and every decoder takes each number once, in
   * any order within docs/codec.md's window. Throws RangeError unless they are integers from 0 and from -63 on.
   */
  constructor(wasm, tWindow = 0, sWindow = 0) {
    super(wasm);
    checkWindow("tWindow", tWindow, 0);
    checkWindow("sWindow", sWindow, -63);
  }
  /** The plaintext of a message that came as bytes. */
  decode(message) {
    return toBytes(() => this.#open(bytesOf(message), true));
  }
  /** The plaintext of a message that came as base64. */
  decodeB64(message) {
    return toBytes(() => this.#open(base64Of(message), false));
  }
  /** The plaintext as a text; bytes that are no UTF-8 become U+FFFD. */
  decodeStr(message) {
    return toText(() => this.#open(bytesOf(message), true));
  }
  decodeStrB64(message) {
    return toText(() => this.#open(base64Of(message), false));
  }
  /** @internal Starts to open a message in pieces. */
  opener() {
    return new Opener(this.#active().taker(true));
  }
  /** @internal */
  begin(state) {
    const direction = decoderDirection(state);
    this.end();
    this.session = new DecoderSession(direction, this.messageType);
  }
  /** @internal */
  save() {
    return this.session.direction.save();
  }
  /** @internal */
  end() {
    this.session = void 0;
  }
  #active() {
    if (this.session === void 0) throw new Failure(9 /* mte_status_uninstantiated */);
    return this.session;
  }
  #open(message, raw) {
    const taker = this.#active().taker(raw);
    if (message.length === 0) throw new Failure(11 /* mte_status_invalid_input */);
    return openWhole(taker, message);
  }
};
function toBytes(open) {
  try {
    return new MteArrStatus(open(), 0 /* mte_status_success */);
  } catch (error) {
    return new MteArrStatus(null, statusOf(error));
  }
}
function toText(open) {
  try {
    return new MteStrStatus(textDecoder.decode(open()), 0 /* mte_status_success */);
  } catch (error) {
    return new MteStrStatus(null, statusOf(error));
  }
}

// src/decoders.ts
var MteDec = class _MteDec extends MteDecoder {
  encodeType = "MTE";
  /** @internal */
  messageType = MTE;
  static fromdefault(wasm, tWindow = 0, sWindow = 0) {
    return new _MteDec(wasm, tWindow, sWindow);
  }
};
var MteMkeDec = class _MteMkeDec extends MteDecoder {
  encodeType = "MKE";
  /** @internal */
  messageType = MKE;
  /** `failed`: the status of a chunk that was refused. */
  #chunked;
  static fromdefault(wasm, tWindow = 0, sWindow = 0) {
    return new _MteMkeDec(wasm, tWindow, sWindow);
  }
  /** Starts to decode a message that comes in chunks. */
  startDecrypt = () => {
    try {
      this.#endChunks();
      this.#chunked = { opener: this.opener() };
      return 0 /* mte_status_success */;
    } catch (error) {
      return statusOf(error);
    }
  };
  /**
   * What a chunk of any size completes, which may be nothing: an empty array. All of it is authentic. `null` if the
   * message is refused; `finishDecrypt` says why.
   */
  decryptChunk = (chunk) => {
    const chunked = this.#chunked;
    if (chunked === void 0 || chunked.failed !== void 0) return null;
    try {
      return chunked.opener.push(bytesOf(chunk).slice());
    } catch (error) {
      chunked.failed = statusOf(error);
      return null;
    }
  };
  /** Success only if the message was whole: what `decryptChunk` gave before counts only then. */
  finishDecrypt = () => {
    try {
      const chunked = this.#chunked;
      if (chunked === void 0) throw new Failure(2 /* mte_status_unsupported */);
      if (chunked.failed !== void 0) throw new Failure(chunked.failed);
      return new MteArrStatus(chunked.opener.finish(), 0 /* mte_status_success */);
    } catch (error) {
      return new MteArrStatus(null, statusOf(error));
    } finally {
      this.#endChunks();
    }
  };
  /** @internal */
  end() {
    this.#endChunks();
    super.end();
  }
  #endChunks() {
    this.#chunked?.opener.close();
    this.#chunked = void 0;
  }
};

// src/codec/random.ts
var QUOTA = 65536;
var secureRandom = (size) => {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += QUOTA) globalThis.crypto.getRandomValues(bytes.subarray(at, at + QUOTA));
  return bytes;
};
function hasSecureRandom() {
  return typeof globalThis.crypto?.getRandomValues === "function";
}

// src/codec/sealer.ts
var Sealer = class {
  /** The message's first 26 bytes. */
  header;
  #type;
  #keys;
  #random;
  #frames = 0;
  constructor(type, slot, random = secureRandom) {
    const header = makeHeader(type, slot.place, slot.number, random(SALT_SIZE));
    this.header = header.bytes;
    this.#type = type;
    this.#keys = messageKeys(slot.epochSecret, header);
    this.#random = random;
    wipe(slot.epochSecret);
  }
  /** The next frame. The final one wipes the keys; nothing can be sealed after it. */
  frame(data, final) {
    const sealed = sealFrame(this.#keys.frames, this.#frames++, data, final);
    if (final) this.close();
    return sealed;
  }
  /** Frames of at most 64 KiB each, none of them final; no bytes for no data. */
  frames(data) {
    const sealed = [];
    for (let at = 0; at < data.length; at += MAX_FRAME) {
      sealed.push(this.frame(data.subarray(at, at + MAX_FRAME), false));
    }
    return concat(...sealed);
  }
  /** The whole message. `sizes` tells how frames divide it; without, they are as long as may be. */
  whole(plaintext, sizes) {
    const data = this.#type === MTE ? this.#tokens(plaintext) : plaintext;
    const frames = sizes ?? longestFrames(data.length);
    const parts = [this.header];
    let at = 0;
    for (const [index, size] of frames.entries()) {
      parts.push(this.frame(data.subarray(at, at + size), index === frames.length - 1));
      at += size;
    }
    return concat(...parts);
  }
  /** Wipes the keys. */
  close() {
    wipe(this.#keys.frames, this.#keys.tokens);
  }
  #tokens(plaintext) {
    const bare = makeTokens(plaintext, this.#random(paddedLength(plaintext.length)));
    const tokens = xorTokens(this.#keys.tokens, bare);
    wipe(bare);
    return tokens;
  }
};
function longestFrames(total) {
  const sizes = new Array(Math.max(1, Math.ceil(total / MAX_FRAME))).fill(MAX_FRAME);
  sizes[sizes.length - 1] = total - (sizes.length - 1) * MAX_FRAME;
  return sizes;
}

// src/state/encoder-session.ts
var USUAL_GROUP = 3;
var MAX_GROUP = 8;
var EncoderSession = class _EncoderSession {
  direction;
  /** What this session began with. */
  #origin;
  /** How many messages the group has, where that is known. */
  #size;
  #numbers;
  #taken = 0;
  #onlyEmpty = true;
  /** Numbers for the group that these empty encodes rehearse. */
  #rehearsed;
  /** `origin`: the saved state that it begins with, in any form that tells states apart. */
  constructor(direction, origin, size, numbers) {
    this.direction = direction;
    this.#origin = origin;
    this.#size = size;
    this.#numbers = numbers;
  }
  /** Number and place for the next message. `raw`: it travels as bytes; `empty`: it has no plaintext. */
  take(raw, empty) {
    if (this.#numbers === void 0 || this.#numbers.left === 0) {
      this.#numbers = this.direction.reserve(this.#taken === 0 ? this.#size ?? USUAL_GROUP : 1);
    }
    const index = this.#taken++;
    this.#onlyEmpty &&= empty;
    const known = this.#size !== void 0 && index < this.#size;
    const following = known ? this.#size - 1 - index : UNKNOWN_FOLLOWING;
    return { ...this.#numbers.take(), place: place(index % MAX_GROUP, following, raw) };
  }
  /** The state from here on. `nameOf` gives the form of it that `origin` has. */
  save(nameOf) {
    if (this.#origin !== void 0 && this.#isRehearsal && this.#rehearsed === void 0) {
      this.#rehearsed = this.direction.reserve(this.#taken);
    }
    const state = this.direction.save();
    if (this.#taken === 0) this.#origin ??= nameOf(state);
    return state;
  }
  /** The session that begins with a saved state, after this one. */
  restore(direction, origin) {
    const again = origin === this.#origin && this.#isRehearsal;
    const numbers = this.#rehearsed?.left === this.#taken ? this.#rehearsed : void 0;
    if (!again || numbers === void 0) this.#rehearsed?.release();
    this.#numbers?.release();
    return again ? new _EncoderSession(direction, origin, this.#taken, numbers) : new _EncoderSession(direction, origin);
  }
  /** Gives up the numbers that are left, and wipes their secrets. */
  release() {
    this.#numbers?.release();
    this.#rehearsed?.release();
  }
  get #isRehearsal() {
    return this.#onlyEmpty && this.#taken > 0 && this.#taken <= MAX_GROUP;
  }
};

// src/encoder.ts
var MteEncoder = class extends MteEndpoint {
  /** @internal */
  side = ENCODER;
  /** @internal */
  session;
  /** A message as bytes: a body. Its plaintext is `data`. */
  encode(data) {
    return this.#toBytes(() => bytesOf(data));
  }
  /** A message as bytes. Its plaintext is the UTF-8 of `text`. */
  encodeStr(text) {
    return this.#toBytes(() => textOf(text));
  }
  /** A message as base64: a URL or a header map. */
  encodeB64(data) {
    return this.#toText(() => bytesOf(data));
  }
  encodeStrB64(text) {
    return this.#toText(() => textOf(text));
  }
  /** @internal What is sealed in place of the plaintext. */
  prepare(data) {
    return data;
  }
  /** @internal Starts a message. `raw`: it travels as bytes; `empty`: it will have no plaintext. */
  sealer(raw, empty) {
    if (this.session === void 0) throw new Failure(9 /* mte_status_uninstantiated */);
    return new Sealer(this.messageType, this.session.take(raw, empty));
  }
  /** @internal */
  begin(state, origin) {
    const direction = encoderDirection(state);
    const before = this.session;
    this.session = void 0;
    this.end();
    if (origin === void 0) before?.release();
    this.session = origin !== void 0 && before !== void 0 ? before.restore(direction, origin) : new EncoderSession(direction, origin);
  }
  /** @internal */
  save() {
    return this.session.save(stateName);
  }
  /** @internal */
  end() {
    this.session?.release();
    this.session = void 0;
  }
  #toBytes(read) {
    try {
      return new MteArrStatus(this.#seal(read(), true), 0 /* mte_status_success */);
    } catch (error) {
      return new MteArrStatus(null, statusOf(error));
    }
  }
  #toText(read) {
    try {
      return new MteStrStatus(toBase64(this.#seal(read(), false)), 0 /* mte_status_success */);
    } catch (error) {
      return new MteStrStatus(null, statusOf(error));
    }
  }
  #seal(data, raw) {
    return this.sealer(raw, data.length === 0).whole(this.prepare(data));
  }
};

// src/encoders.ts
var MteEnc = class _MteEnc extends MteEncoder {
  encodeType = "MTE";
  /** @internal */
  messageType = MTE;
  static fromdefault(wasm) {
    return new _MteEnc(wasm);
  }
};
var MteFlenEnc = class _MteFlenEnc extends MteEncoder {
  encodeType = "FLEN";
  /** @internal */
  messageType = MTE;
  #length;
  /** `length` in bytes of plaintext. Throws RangeError unless it is a positive integer. */
  constructor(wasm, length) {
    super(wasm);
    if (!Number.isSafeInteger(length) || length <= 0) {
      throw new RangeError(`the fixed length must be a positive integer, not ${length}`);
    }
    this.#length = length;
  }
  static fromdefault(wasm, length) {
    return new _MteFlenEnc(wasm, Number(length));
  }
  /** @internal */
  prepare(data) {
    const fixed = new Uint8Array(this.#length);
    fixed.set(data.subarray(0, this.#length));
    return fixed;
  }
};
var MteMkeEnc = class _MteMkeEnc extends MteEncoder {
  encodeType = "MKE";
  /** @internal */
  messageType = MKE;
  #chunked;
  static fromdefault(wasm) {
    return new _MteMkeEnc(wasm);
  }
  /** -1, the length of no message: some clients take what has this length for an empty body and drop it. */
  encryptFinishBytes = () => -1;
  /** Starts a message that is sent while it is made, and takes its number. */
  startEncrypt = () => {
    try {
      this.#endChunks();
      this.#chunked = { sealer: this.sealer(true, false), started: false };
      return 0 /* mte_status_success */;
    } catch (error) {
      return statusOf(error);
    }
  };
  /** The bytes to send for a chunk of any size; `null` if no message was started or the chunk is not bytes. */
  encryptChunk = (chunk) => {
    if (this.#chunked === void 0) return null;
    try {
      return this.#withHeader(this.#chunked.sealer.frames(bytesOf(chunk)));
    } catch {
      return null;
    }
  };
  /** The bytes to send last. Without them the message is no message. */
  finishEncrypt = () => {
    try {
      if (this.#chunked === void 0) throw new Failure(2 /* mte_status_unsupported */);
      const last = this.#withHeader(this.#chunked.sealer.frame(new Uint8Array(), true));
      return new MteArrStatus(last, 0 /* mte_status_success */);
    } catch (error) {
      return new MteArrStatus(null, statusOf(error));
    } finally {
      this.#endChunks();
    }
  };
  /** @internal */
  end() {
    this.#endChunks();
    super.end();
  }
  #endChunks() {
    this.#chunked?.sealer.close();
    this.#chunked = void 0;
  }
  /** The message's header goes out with its first bytes. */
  #withHeader(frames) {
    const chunked = this.#chunked;
    if (chunked.started) return frames;
    chunked.started = true;
    const out = new Uint8Array(chunked.sealer.header.length + frames.length);
    out.set(chunked.sealer.header);
    out.set(frames, chunked.sealer.header.length);
    return out;
  }
};

// src/kyber.ts
import { ml_kem512, ml_kem768, ml_kem1024 } from "@noble/post-quantum/ml-kem.js";
var MteKyberStrength = /* @__PURE__ */ ((MteKyberStrength2) => {
  MteKyberStrength2[MteKyberStrength2["none"] = 0] = "none";
  MteKyberStrength2[MteKyberStrength2["K512"] = 512] = "K512";
  MteKyberStrength2[MteKyberStrength2["K768"] = 768] = "K768";
  MteKyberStrength2[MteKyberStrength2["K1024"] = 1024] = "K1024";
  return MteKyberStrength2;
})(MteKyberStrength || {});
var MteKyberStatus = /* @__PURE__ */ ((MteKyberStatus2) => {
  MteKyberStatus2[MteKyberStatus2["success"] = 0] = "success";
  MteKyberStatus2[MteKyberStatus2["invalid_strength"] = -1] = "invalid_strength";
  MteKyberStatus2[MteKyberStatus2["invalid_pubkey"] = -2] = "invalid_pubkey";
  MteKyberStatus2[MteKyberStatus2["invalid_privkey"] = -3] = "invalid_privkey";
  MteKyberStatus2[MteKyberStatus2["invalid_cipher"] = -4] = "invalid_cipher";
  MteKyberStatus2[MteKyberStatus2["entropy_fail"] = -5] = "entropy_fail";
  MteKyberStatus2[MteKyberStatus2["memory_fail"] = -6] = "memory_fail";
  return MteKyberStatus2;
})(MteKyberStatus || {});
var SEED_SIZE = 64;
var MESSAGE_SIZE = 32;
var ALGORITHMS = {
  [512 /* K512 */]: { name: "ml-kem-512", kem: ml_kem512 },
  [768 /* K768 */]: { name: "ml-kem-768", kem: ml_kem768 },
  [1024 /* K1024 */]: { name: "ml-kem-1024", kem: ml_kem1024 }
};
var MteKyber = class {
  #info;
  #kem;
  #keys;
  constructor(_wasm, strength) {
    const algorithm = ALGORITHMS[strength];
    this.#info = algorithm && kemInfoOf(algorithm.name);
    this.#kem = algorithm?.kem;
  }
  /** `result1`: the public key. The private one stays inside, until the next call. */
  createKeypair() {
    if (this.#kem === void 0) return failed(-1 /* invalid_strength */);
    const seed = randomBytes(SEED_SIZE);
    if (seed === void 0) return failed(-5 /* entropy_fail */);
    if (this.#keys) wipe(this.#keys.secretKey);
    this.#keys = this.#kem.keygen(seed);
    wipe(seed);
    return { result1: this.#keys.publicKey.slice(), result2: null, status: 0 /* success */ };
  }
  /** `result1`: the secret, 32 bytes; `result2`: the ciphertext that tells it to the owner of the public key. */
  createSecret(publicKey) {
    if (this.#kem === void 0 || this.#info === void 0) return failed(-1 /* invalid_strength */);
    const message = randomBytes(MESSAGE_SIZE);
    if (message === void 0) return failed(-5 /* entropy_fail */);
    try {
      const { cipherText, sharedSecret } = this.#kem.encapsulate(publicKey, message);
      return this.#secret(sharedSecret, publicKey, cipherText, cipherText);
    } catch {
      return failed(-2 /* invalid_pubkey */);
    } finally {
      wipe(message);
    }
  }
  /**
   * `result1`: the secret that `createSecret` of the other end gave. A wrong ciphertext of the right size gives
   * another secret, and shows only when the first message does not decode.
   */
  decryptSecret(ciphertext) {
    if (this.#kem === void 0 || this.#info === void 0) return failed(-1 /* invalid_strength */);
    if (this.#keys === void 0) return failed(-3 /* invalid_privkey */);
    if (ciphertext?.length !== this.#info.ciphertextSize) return failed(-4 /* invalid_cipher */);
    try {
      const sharedSecret = this.#kem.decapsulate(ciphertext, this.#keys.secretKey);
      return this.#secret(sharedSecret, this.#keys.publicKey, ciphertext, null);
    } catch {
      return failed(-4 /* invalid_cipher */);
    }
  }
  /** What is handed out is not the KEM's secret, but the codec's entropy, which is bound to key and ciphertext. */
  #secret(sharedSecret, publicKey, ciphertext, result2) {
    const result1 = kemEntropy(this.#info.id, sharedSecret, publicKey, ciphertext);
    wipe(sharedSecret);
    return { result1, result2, status: 0 /* success */ };
  }
};
function randomBytes(size) {
  try {
    return secureRandom(size);
  } catch {
    return void 0;
  }
}
function failed(status) {
  return { result1: null, result2: null, status };
}

// src/wasm.ts
var MteWasm = class {
  /** Non-null once instantiated, and empty. */
  exports = null;
  /** Non-null once instantiated, and empty. */
  memory = null;
  /** Rejects if the platform has no secure source of random numbers. Takes and ignores any arguments. */
  async instantiate(..._ignored) {
    if (!hasSecureRandom()) throw new Error("crypto.getRandomValues is missing: no secure random numbers");
    this.exports ??= {};
    this.memory ??= { buffer: new ArrayBuffer(0) };
  }
};
export {
  MteArrStatus,
  MteBase,
  MteDec,
  MteEnc,
  MteFlenEnc,
  MteKyber,
  MteKyberStatus,
  MteKyberStrength,
  MteMkeDec,
  MteMkeEnc,
  MteStatus,
  MteStrStatus,
  MteWasm
};
