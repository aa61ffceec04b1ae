"use strict";
var __defProp = Object.defineProperty;
var __getOwnPropDesc = Object.getOwnPropertyDescriptor;
var __getOwnPropNames = Object.getOwnPropertyNames;
var __hasOwnProp = Object.prototype.hasOwnProperty;
var __export = (target, all) => {
  for (var name in all)
    __defProp(target, name, { get: all[name], enumerable: true });
};
var __copyProps = (to, from, except, desc) => {
  if (from && typeof from === "object" || typeof from === "function") {
    for (let key of __getOwnPropNames(from))
      if (!__hasOwnProp.call(to, key) && key !== except)
        __defProp(to, key, { get: () => from[key], enumerable: !(desc = __getOwnPropDesc(from, key)) || desc.enumerable });
  }
  return to;
};
var __toCommonJS = (mod) => __copyProps(__defProp({}, "__esModule", { value: true }), mod);

// src/index.ts
var index_exports = {};
__export(index_exports, {
  MteArrStatus: () => MteArrStatus,
  MteBase: () => MteBase,
  MteDec: () => MteDec,
  MteEnc: () => MteEnc,
  MteFlenEnc: () => MteFlenEnc,
  MteKyber: () => MteKyber,
  MteKyberStatus: () => MteKyberStatus,
  MteKyberStrength: () => MteKyberStrength,
  MteMkeDec: () => MteMkeDec,
  MteMkeEnc: () => MteMkeEnc,
  MteStatus: () => MteStatus,
  MteStrStatus: () => MteStrStatus,
  MteWasm: () => MteWasm
});
module.exports = __toCommonJS(index_exports);

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

// ../../node_modules/@noble/ciphers/utils.js
function isBytes(a) {
  return a instanceof Uint8Array || ArrayBuffer.isView(a) && a.constructor.name === "Uint8Array" && "BYTES_PER_ELEMENT" in a && a.BYTES_PER_ELEMENT === 1;
}
var atitle = (title) => title ? `"${title}" ` : "";
function abool(value, title = "") {
  if (typeof value !== "boolean")
    throw new TypeError(atitle(title) + "expected boolean, got type=" + typeof value);
  return value;
}
function anumber(n, title = "") {
  if (typeof n !== "number")
    throw new TypeError(atitle(title) + "expected number, got " + typeof n);
  if (!Number.isSafeInteger(n) || n < 0)
    throw new RangeError(atitle(title) + "expected integer >= 0, got " + n);
  return n;
}
function abytes(value, length, title = "") {
  if (isBytes(value) && (length === void 0 || value.length === length))
    return value;
  if (length !== void 0)
    anumber(length, "length");
  const bytes = isBytes(value);
  const ofLen = length !== void 0 ? ` of length ${length}` : "";
  const got = bytes ? `length=${value.length}` : `type=${typeof value}`;
  const message = atitle(title) + "expected Uint8Array" + ofLen + ", got " + got;
  if (!bytes)
    throw new TypeError(message);
  throw new RangeError(message);
}
var aobject = (value, label) => {
  if (value === null || typeof value !== "object" || Array.isArray(value))
    throw new TypeError(label === "object" ? "expected valid options object" : `"${label}" expected object, got type=${typeof value}`);
};
function aexists(instance, checkFinished = true) {
  if (instance.destroyed)
    throw new Error("hash was destroyed");
  if (checkFinished && instance.finished)
    throw new Error("digest() was already called");
}
function aoutput(out, instance) {
  abytes(out, void 0, "output");
  const min = instance.outputLen;
  if (!(out.length >= min)) {
    throw new RangeError('"output" expected length >= ' + min);
  }
}
function aoutput32(out, instance) {
  aoutput(out, instance);
  if (!isAligned32(out))
    throw new Error("invalid output, must be aligned");
}
function u8(arr) {
  return new Uint8Array(arr.buffer, arr.byteOffset, arr.byteLength);
}
function u322(arr) {
  return new Uint32Array(arr.buffer, arr.byteOffset, Math.floor(arr.byteLength / 4));
}
function clean(...arrays) {
  for (let i = 0; i < arrays.length; i++) {
    arrays[i].fill(0);
  }
}
function createView(arr) {
  return new DataView(arr.buffer, arr.byteOffset, arr.byteLength);
}
var isLE = /* @__PURE__ */ (() => new Uint8Array(new Uint32Array([287454020]).buffer)[0] === 68)();
function byteSwap(word) {
  return word << 24 & 4278190080 | word << 8 & 16711680 | word >>> 8 & 65280 | word >>> 24 & 255;
}
var swap8IfBE = isLE ? (n) => n : (n) => byteSwap(n) >>> 0;
function byteSwap32(arr) {
  for (let i = 0; i < arr.length; i++) {
    arr[i] = byteSwap(arr[i]);
  }
  return arr;
}
var swap32IfBE = isLE ? (u) => u : byteSwap32;
function overlapBytes(a, b) {
  if (!a.byteLength || !b.byteLength)
    return false;
  return a.buffer === b.buffer && // best we can do, may fail with an obscure Proxy
  a.byteOffset < b.byteOffset + b.byteLength && // a starts before b end
  b.byteOffset < a.byteOffset + a.byteLength;
}
function complexOverlapBytes(input, output) {
  if (overlapBytes(input, output) && input.byteOffset < output.byteOffset)
    throw new Error("complex overlap of input and output is not supported");
}
function checkOpts(defaults, opts2) {
  aobject(defaults, "defaults");
  aobject(opts2, "opts");
  const merged = Object.assign(defaults, opts2);
  return merged;
}
function equalBytes(a, b) {
  a = abytes(a);
  b = abytes(b);
  if (a.length !== b.length)
    return false;
  let diff = 0;
  for (let i = 0; i < a.length; i++)
    diff |= a[i] ^ b[i];
  return diff === 0;
}
function wrapMacConstructor(keyLen, macCons, fromMsg) {
  const mac = macCons;
  const getArgs = fromMsg || (() => []);
  const macC = (msg, key) => mac(key, ...getArgs(msg)).update(msg).digest();
  const tmp = mac(new Uint8Array(keyLen), ...getArgs(new Uint8Array(0)));
  macC.outputLen = tmp.outputLen;
  macC.blockLen = tmp.blockLen;
  macC.create = (key, ...args) => mac(key, ...args);
  return macC;
}
var wrapCipher = /* @__NO_SIDE_EFFECTS__ */ (params, constructor) => {
  function wrappedCipher(key, ...args) {
    abytes(key, void 0, "key");
    if (params.nonceLength !== void 0) {
      const nonce = args[0];
      abytes(nonce, params.varSizeNonce ? void 0 : params.nonceLength, "nonce");
    }
    const tagl = params.tagLength;
    const aadStart = params.nonceLength !== void 0 ? 1 : 0;
    if (!params.withAAD) {
      for (let i = aadStart; i < args.length; i++)
        if (isBytes(args[i]))
          throw new Error("AAD not supported");
    }
    if (params.withAAD && args[aadStart] !== void 0)
      abytes(args[aadStart], void 0, "AAD");
    const cipher = constructor(key, ...args);
    const checkOutput = (fnLength, output) => {
      if (output !== void 0) {
        if (fnLength !== 2)
          throw new Error("cipher output not supported");
        abytes(output, void 0, "output");
      }
    };
    let called = false;
    const wrCipher = {
      encrypt(data, output) {
        if (called)
          throw new Error("cannot encrypt() twice with same key + nonce");
        called = true;
        abytes(data, void 0, "data");
        checkOutput(cipher.encrypt.length, output);
        return cipher.encrypt(data, output);
      },
      decrypt(data, output) {
        abytes(data, void 0, "data");
        if (tagl && data.length < tagl)
          throw new Error('"ciphertext" expected length >= tagLength=' + tagl);
        checkOutput(cipher.decrypt.length, output);
        return cipher.decrypt(data, output);
      }
    };
    return wrCipher;
  }
  Object.assign(wrappedCipher, params);
  return wrappedCipher;
};
function getOutput(expectedLength, out, onlyAligned = true) {
  if (out === void 0)
    return new Uint8Array(expectedLength);
  abytes(out, expectedLength, "output");
  if (onlyAligned && !isAligned32(out))
    throw new Error("invalid output, must be aligned");
  return out;
}
function u64Lengths(dataLength, aadLength, isLE3) {
  anumber(dataLength);
  anumber(aadLength);
  abool(isLE3);
  const num = new Uint8Array(16);
  const view = createView(num);
  view.setBigUint64(0, BigInt(aadLength), isLE3);
  view.setBigUint64(8, BigInt(dataLength), isLE3);
  return num;
}
function isAligned32(bytes) {
  return bytes.byteOffset % 4 === 0;
}
function copyBytes(bytes) {
  return Uint8Array.from(abytes(bytes));
}

// ../../node_modules/@noble/ciphers/_polyval.js
var BLOCK_SIZE = 16;
var ZEROS16 = /* @__PURE__ */ new Uint8Array(16);
var ZEROS32 = /* @__PURE__ */ u322(ZEROS16);
var POLY = 225;
var mul2 = (s0, s1, s2, s3) => {
  const hiBit = s3 & 1;
  return {
    s3: s2 << 31 | s3 >>> 1,
    s2: s1 << 31 | s2 >>> 1,
    s1: s0 << 31 | s1 >>> 1,
    // NIST SP 800-38D §6.3 applies `V >> 1` and XORs R on carry. In this
    // 4x32-bit split, R = 0xe1 || 0^120 lives in the top byte of s0.
    s0: s0 >>> 1 ^ POLY << 24 & -(hiBit & 1)
    // reduce % poly
  };
};
var swapLE = (n) => (n >>> 0 & 255) << 24 | (n >>> 8 & 255) << 16 | (n >>> 16 & 255) << 8 | n >>> 24 & 255 | 0;
var estimateWindow = (bytes) => {
  if (bytes > 64 * 1024)
    return 8;
  if (bytes > 1024)
    return 4;
  return 2;
};
var GHASH = class {
  blockLen = BLOCK_SIZE;
  outputLen = BLOCK_SIZE;
  s0 = 0;
  s1 = 0;
  s2 = 0;
  s3 = 0;
  finished = false;
  destroyed = false;
  t;
  W;
  windowSize;
  // We select bits per window adaptively based on expectedLength
  constructor(key, expectedLength) {
    abytes(key, 16, "key");
    key = copyBytes(key);
    const kView = createView(key);
    let k0 = kView.getUint32(0, false);
    let k1 = kView.getUint32(4, false);
    let k2 = kView.getUint32(8, false);
    let k3 = kView.getUint32(12, false);
    const doubles = [];
    for (let i = 0; i < 128; i++) {
      doubles.push({ s0: swapLE(k0), s1: swapLE(k1), s2: swapLE(k2), s3: swapLE(k3) });
      ({ s0: k0, s1: k1, s2: k2, s3: k3 } = mul2(k0, k1, k2, k3));
    }
    const W = estimateWindow(expectedLength || 1024);
    if (![1, 2, 4, 8].includes(W))
      throw new Error("ghash: invalid window size, expected 2, 4 or 8");
    this.W = W;
    const bits = 128;
    const windows = bits / W;
    const windowSize = this.windowSize = 2 ** W;
    const items = [];
    for (let w = 0; w < windows; w++) {
      for (let byte = 0; byte < windowSize; byte++) {
        let s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (let j = 0; j < W; j++) {
          const bit = byte >>> W - j - 1 & 1;
          if (!bit)
            continue;
          const { s0: d0, s1: d1, s2: d2, s3: d3 } = doubles[W * w + j];
          s0 ^= d0, s1 ^= d1, s2 ^= d2, s3 ^= d3;
        }
        items.push({ s0, s1, s2, s3 });
      }
    }
    this.t = items;
  }
  _updateBlock(s0, s1, s2, s3) {
    s0 ^= this.s0, s1 ^= this.s1, s2 ^= this.s2, s3 ^= this.s3;
    const { W, t, windowSize } = this;
    let o0 = 0, o1 = 0, o2 = 0, o3 = 0;
    const mask = (1 << W) - 1;
    let w = 0;
    for (const num of [s0, s1, s2, s3]) {
      for (let bytePos = 0; bytePos < 4; bytePos++) {
        const byte = num >>> 8 * bytePos & 255;
        for (let bitPos = 8 / W - 1; bitPos >= 0; bitPos--) {
          const bit = byte >>> W * bitPos & mask;
          const { s0: e0, s1: e1, s2: e2, s3: e3 } = t[w * windowSize + bit];
          o0 ^= e0, o1 ^= e1, o2 ^= e2, o3 ^= e3;
          w += 1;
        }
      }
    }
    this.s0 = o0;
    this.s1 = o1;
    this.s2 = o2;
    this.s3 = o3;
  }
  update(data) {
    aexists(this);
    abytes(data);
    data = copyBytes(data);
    const b32 = u322(data);
    const blocks = Math.floor(data.length / BLOCK_SIZE);
    const left = data.length % BLOCK_SIZE;
    for (let i = 0; i < blocks; i++) {
      this._updateBlock(swap8IfBE(b32[i * 4 + 0]), swap8IfBE(b32[i * 4 + 1]), swap8IfBE(b32[i * 4 + 2]), swap8IfBE(b32[i * 4 + 3]));
    }
    if (left) {
      ZEROS16.set(data.subarray(blocks * BLOCK_SIZE));
      this._updateBlock(swap8IfBE(ZEROS32[0]), swap8IfBE(ZEROS32[1]), swap8IfBE(ZEROS32[2]), swap8IfBE(ZEROS32[3]));
      clean(ZEROS32);
    }
    return this;
  }
  destroy() {
    this.destroyed = true;
    const { t } = this;
    for (const elm of t) {
      elm.s0 = 0, elm.s1 = 0, elm.s2 = 0, elm.s3 = 0;
    }
  }
  digestInto(out) {
    aexists(this);
    aoutput32(out, this);
    this.finished = true;
    const { s0, s1, s2, s3 } = this;
    const o32 = u322(out);
    o32[0] = s0;
    o32[1] = s1;
    o32[2] = s2;
    o32[3] = s3;
    if (!isLE)
      swap32IfBE(o32.subarray(0, BLOCK_SIZE / 4));
  }
  digest() {
    const res = new Uint8Array(BLOCK_SIZE);
    this.digestInto(res);
    this.destroy();
    return res;
  }
};
var ghash = /* @__PURE__ */ wrapMacConstructor(16, (key, expectedLength) => new GHASH(key, expectedLength), (msg) => [msg.length]);

// ../../node_modules/@noble/ciphers/aes.js
var BLOCK_SIZE2 = 16;
var BLOCK_SIZE32 = 4;
var EMPTY_BLOCK = /* @__PURE__ */ new Uint8Array(BLOCK_SIZE2);
var POLY2 = 283;
function validateKeyLength(key) {
  if (![16, 24, 32].includes(key.length))
    throw new Error('"aes key" expected Uint8Array of length 16/24/32, got length=' + key.length);
}
function mul22(n) {
  return n << 1 ^ POLY2 & -(n >> 7);
}
function mul(a, b) {
  let res = 0;
  for (; b > 0; b >>= 1) {
    res ^= a & -(b & 1);
    a = mul22(a);
  }
  return res;
}
var sbox = /* @__PURE__ */ (() => {
  const t = new Uint8Array(256);
  for (let i = 0, x = 1; i < 256; i++, x ^= mul22(x))
    t[i] = x;
  const box = new Uint8Array(256);
  box[0] = 99;
  for (let i = 0; i < 255; i++) {
    let x = t[255 - i];
    x |= x << 8;
    box[t[i]] = (x ^ x >> 4 ^ x >> 5 ^ x >> 6 ^ x >> 7 ^ 99) & 255;
  }
  clean(t);
  return box;
})();
var rotr32_8 = (n) => n << 24 | n >>> 8;
var rotl32_8 = (n) => n << 8 | n >>> 24;
function genTtable(sbox2, fn) {
  if (sbox2.length !== 256)
    throw new Error("wrong sbox length");
  const T0 = new Uint32Array(256).map((_, j) => fn(sbox2[j]));
  const T1 = T0.map(rotl32_8);
  const T2 = T1.map(rotl32_8);
  const T3 = T2.map(rotl32_8);
  const T01 = new Uint32Array(256 * 256);
  const T23 = new Uint32Array(256 * 256);
  const sbox22 = new Uint16Array(256 * 256);
  for (let i = 0; i < 256; i++) {
    for (let j = 0; j < 256; j++) {
      const idx = i * 256 + j;
      T01[idx] = T0[i] ^ T1[j];
      T23[idx] = T2[i] ^ T3[j];
      sbox22[idx] = sbox2[i] << 8 | sbox2[j];
    }
  }
  return { sbox: sbox2, sbox2: sbox22, T0, T1, T2, T3, T01, T23 };
}
var tableEncoding = /* @__PURE__ */ genTtable(sbox, (s) => mul(s, 3) << 24 | s << 16 | s << 8 | mul(s, 2));
var xPowers = /* @__PURE__ */ (() => {
  const p = new Uint8Array(16);
  for (let i = 0, x = 1; i < 16; i++, x = mul22(x))
    p[i] = x;
  return p;
})();
function expandKeyLE(key) {
  abytes(key);
  const len = key.length;
  validateKeyLength(key);
  const { sbox2 } = tableEncoding;
  const toClean = [];
  if (!isLE || !isAligned32(key))
    toClean.push(key = copyBytes(key));
  const k32 = swap32IfBE(u322(key));
  const Nk = k32.length;
  const subByte = (n) => applySbox(sbox2, n, n, n, n);
  const xk = new Uint32Array(len + 28);
  xk.set(k32);
  for (let i = Nk; i < xk.length; i++) {
    let t = xk[i - 1];
    if (i % Nk === 0)
      t = subByte(rotr32_8(t)) ^ xPowers[i / Nk - 1];
    else if (Nk > 6 && i % Nk === 4)
      t = subByte(t);
    xk[i] = xk[i - Nk] ^ t;
  }
  clean(...toClean);
  return xk;
}
function apply0123(T01, T23, s0, s1, s2, s3) {
  return T01[s0 << 8 & 65280 | s1 >>> 8 & 255] ^ T23[s2 >>> 8 & 65280 | s3 >>> 24 & 255];
}
function applySbox(sbox2, s0, s1, s2, s3) {
  return sbox2[s0 & 255 | s1 & 65280] | sbox2[s2 >>> 16 & 255 | s3 >>> 16 & 65280] << 16;
}
function encrypt(xk, s0, s1, s2, s3) {
  const { sbox2, T01, T23 } = tableEncoding;
  let k = 0;
  s0 ^= xk[k++], s1 ^= xk[k++], s2 ^= xk[k++], s3 ^= xk[k++];
  const rounds = xk.length / 4 - 2;
  for (let i = 0; i < rounds; i++) {
    const t02 = xk[k++] ^ apply0123(T01, T23, s0, s1, s2, s3);
    const t12 = xk[k++] ^ apply0123(T01, T23, s1, s2, s3, s0);
    const t22 = xk[k++] ^ apply0123(T01, T23, s2, s3, s0, s1);
    const t32 = xk[k++] ^ apply0123(T01, T23, s3, s0, s1, s2);
    s0 = t02, s1 = t12, s2 = t22, s3 = t32;
  }
  const t0 = xk[k++] ^ applySbox(sbox2, s0, s1, s2, s3);
  const t1 = xk[k++] ^ applySbox(sbox2, s1, s2, s3, s0);
  const t2 = xk[k++] ^ applySbox(sbox2, s2, s3, s0, s1);
  const t3 = xk[k++] ^ applySbox(sbox2, s3, s0, s1, s2);
  return { s0: t0, s1: t1, s2: t2, s3: t3 };
}
function ctr32(xk, isLE3, nonce, src, dst) {
  abytes(nonce, BLOCK_SIZE2, "nonce");
  abytes(src);
  dst = getOutput(src.length, dst);
  const ctr = nonce;
  const c32 = u322(ctr);
  const view = createView(ctr);
  const src32 = u322(src);
  const dst32 = u322(dst);
  const ctrPos = isLE3 ? 0 : 12;
  const srcLen = src.length;
  let ctrNum = view.getUint32(ctrPos, isLE3);
  for (let i = 0; i + 4 <= src32.length; i += 4) {
    const { s0, s1, s2, s3 } = encrypt(xk, swap8IfBE(c32[0]), swap8IfBE(c32[1]), swap8IfBE(c32[2]), swap8IfBE(c32[3]));
    dst32[i + 0] = src32[i + 0] ^ swap8IfBE(s0);
    dst32[i + 1] = src32[i + 1] ^ swap8IfBE(s1);
    dst32[i + 2] = src32[i + 2] ^ swap8IfBE(s2);
    dst32[i + 3] = src32[i + 3] ^ swap8IfBE(s3);
    ctrNum = ctrNum + 1 >>> 0;
    view.setUint32(ctrPos, ctrNum, isLE3);
  }
  const start = BLOCK_SIZE2 * Math.floor(src32.length / BLOCK_SIZE32);
  if (start < srcLen) {
    const { s0, s1, s2, s3 } = encrypt(xk, swap8IfBE(c32[0]), swap8IfBE(c32[1]), swap8IfBE(c32[2]), swap8IfBE(c32[3]));
    const b32 = new Uint32Array([s0, s1, s2, s3]);
    swap32IfBE(b32);
    const buf = u8(b32);
    for (let i = start, pos = 0; i < srcLen; i++, pos++)
      dst[i] = src[i] ^ buf[pos];
    clean(b32);
  }
  return dst;
}
function computeTag(fn, isLE3, key, data, AAD) {
  const aadLength = AAD ? AAD.length : 0;
  const h = fn.create(key, data.length + aadLength);
  if (AAD)
    h.update(AAD);
  const num = u64Lengths(8 * data.length, 8 * aadLength, isLE3);
  h.update(data);
  h.update(num);
  const res = h.digest();
  clean(num);
  return res;
}
var gcm = /* @__PURE__ */ wrapCipher({ blockSize: 16, nonceLength: 12, tagLength: 16, withAAD: true, varSizeNonce: true }, function aesgcm(key, nonce, AAD) {
  if (nonce.length < 8)
    throw new Error("aes/gcm: invalid nonce length");
  const tagLength = 16;
  function _computeTag(authKey, tagMask, data) {
    const tag = computeTag(ghash, false, authKey, data, AAD);
    for (let i = 0; i < tagMask.length; i++)
      tag[i] ^= tagMask[i];
    return tag;
  }
  function deriveKeys() {
    const xk = expandKeyLE(key);
    const authKey = EMPTY_BLOCK.slice();
    const counter = EMPTY_BLOCK.slice();
    ctr32(xk, false, counter, counter, authKey);
    if (nonce.length === 12) {
      counter.set(nonce);
    } else {
      const nonceLen = EMPTY_BLOCK.slice();
      const view = createView(nonceLen);
      view.setBigUint64(8, BigInt(nonce.length * 8), false);
      const g = ghash.create(authKey).update(nonce).update(nonceLen);
      g.digestInto(counter);
      g.destroy();
    }
    const tagMask = ctr32(xk, false, counter, EMPTY_BLOCK);
    return { xk, authKey, counter, tagMask };
  }
  return {
    encrypt(plaintext) {
      const { xk, authKey, counter, tagMask } = deriveKeys();
      const out = new Uint8Array(plaintext.length + tagLength);
      const toClean = [xk, authKey, counter, tagMask];
      if (!isAligned32(plaintext))
        toClean.push(plaintext = copyBytes(plaintext));
      ctr32(xk, false, counter, plaintext, out.subarray(0, plaintext.length));
      const tag = _computeTag(authKey, tagMask, out.subarray(0, out.length - tagLength));
      toClean.push(tag);
      out.set(tag, plaintext.length);
      clean(...toClean);
      return out;
    },
    decrypt(ciphertext) {
      const { xk, authKey, counter, tagMask } = deriveKeys();
      const toClean = [xk, authKey, tagMask, counter];
      if (!isAligned32(ciphertext))
        toClean.push(ciphertext = copyBytes(ciphertext));
      const data = ciphertext.subarray(0, -tagLength);
      const passedTag = ciphertext.subarray(-tagLength);
      const tag = _computeTag(authKey, tagMask, data);
      toClean.push(tag);
      if (!equalBytes(tag, passedTag)) {
        clean(...toClean);
        throw new Error("aes-gcm: invalid tag");
      }
      const out = ctr32(xk, false, counter, data);
      clean(...toClean);
      return out;
    }
  };
});

// ../../node_modules/@noble/ciphers/_arx.js
var encodeStr = (str) => Uint8Array.from(str.split(""), (c) => c.charCodeAt(0));
var sigma16_32 = /* @__PURE__ */ (() => swap32IfBE(u322(encodeStr("expand 16-byte k"))))();
var sigma32_32 = /* @__PURE__ */ (() => swap32IfBE(u322(encodeStr("expand 32-byte k"))))();
function rotl(a, b) {
  return a << b | a >>> 32 - b;
}
var BLOCK_LEN = 64;
var BLOCK_LEN32 = 16;
var MAX_COUNTER = /* @__PURE__ */ (() => 2 ** 32 - 1)();
var U32_EMPTY = /* @__PURE__ */ Uint32Array.of();
function runCipher(core, sigma, key, nonce, data, output, counter, rounds) {
  const len = data.length;
  const block = new Uint8Array(BLOCK_LEN);
  const b32 = u322(block);
  const isAligned = isLE && isAligned32(data) && isAligned32(output);
  const d32 = isAligned ? u322(data) : U32_EMPTY;
  const o32 = isAligned ? u322(output) : U32_EMPTY;
  if (!isLE) {
    for (let pos = 0; pos < len; counter++) {
      core(sigma, key, nonce, b32, counter, rounds);
      swap32IfBE(b32);
      if (counter >= MAX_COUNTER)
        throw new Error("arx: counter overflow");
      const take = Math.min(BLOCK_LEN, len - pos);
      for (let j = 0, posj; j < take; j++) {
        posj = pos + j;
        output[posj] = data[posj] ^ block[j];
      }
      pos += take;
    }
    return;
  }
  for (let pos = 0; pos < len; counter++) {
    core(sigma, key, nonce, b32, counter, rounds);
    if (counter >= MAX_COUNTER)
      throw new Error("arx: counter overflow");
    const take = Math.min(BLOCK_LEN, len - pos);
    if (isAligned && take === BLOCK_LEN) {
      const pos32 = pos / 4;
      if (pos % 4 !== 0)
        throw new Error("arx: invalid block position");
      for (let j = 0, posj; j < BLOCK_LEN32; j++) {
        posj = pos32 + j;
        o32[posj] = d32[posj] ^ b32[j];
      }
      pos += BLOCK_LEN;
      continue;
    }
    for (let j = 0, posj; j < take; j++) {
      posj = pos + j;
      output[posj] = data[posj] ^ block[j];
    }
    pos += take;
  }
}
function createCipher(core, opts2) {
  const { allowShortKeys, extendNonceFn, counterLength, counterRight, rounds } = checkOpts({ allowShortKeys: false, counterLength: 8, counterRight: false, rounds: 20 }, opts2);
  if (typeof core !== "function")
    throw new Error("core must be a function");
  anumber(counterLength);
  anumber(rounds);
  abool(counterRight);
  abool(allowShortKeys);
  return (key, nonce, data, output, counter = 0) => {
    abytes(key, void 0, "key");
    abytes(nonce, void 0, "nonce");
    abytes(data, void 0, "data");
    const len = data.length;
    const hasOutput = output !== void 0;
    output = getOutput(len, output, false);
    if (hasOutput)
      complexOverlapBytes(data, output);
    anumber(counter);
    if (counter < 0 || counter >= MAX_COUNTER)
      throw new Error("arx: counter overflow");
    const toClean = [];
    let l = key.length;
    let k;
    let sigma;
    if (l === 32) {
      toClean.push(k = copyBytes(key));
      sigma = sigma32_32;
    } else if (l === 16 && allowShortKeys) {
      k = new Uint8Array(32);
      k.set(key);
      k.set(key, 16);
      sigma = sigma16_32;
      toClean.push(k);
    } else {
      abytes(key, 32, "arx key");
      throw new Error("invalid key size");
    }
    if (!isLE || !isAligned32(nonce))
      toClean.push(nonce = copyBytes(nonce));
    let k32 = u322(k);
    if (extendNonceFn) {
      if (nonce.length !== 24)
        throw new Error("arx: extended nonce must be 24 bytes");
      const n16 = nonce.subarray(0, 16);
      if (isLE)
        extendNonceFn(sigma, k32, u322(n16), k32);
      else {
        const sigmaRaw = swap32IfBE(Uint32Array.from(sigma));
        extendNonceFn(sigmaRaw, k32, u322(n16), k32);
        clean(sigmaRaw);
        swap32IfBE(k32);
      }
      nonce = nonce.subarray(16);
    } else if (!isLE)
      swap32IfBE(k32);
    const nonceNcLen = 16 - counterLength;
    if (nonceNcLen !== nonce.length)
      throw new Error(`arx: nonce must be ${nonceNcLen} or 16 bytes`);
    if (nonceNcLen !== 12) {
      const nc = new Uint8Array(12);
      nc.set(nonce, counterRight ? 0 : 12 - nonce.length);
      nonce = nc;
      toClean.push(nonce);
    }
    const n32 = swap32IfBE(u322(nonce));
    try {
      runCipher(core, sigma, k32, n32, data, output, counter, rounds);
      return output;
    } finally {
      clean(...toClean);
    }
  };
}

// ../../node_modules/@noble/ciphers/chacha.js
function chachaCore(s, k, n, out, cnt, rounds = 20) {
  let y00 = s[0], y01 = s[1], y02 = s[2], y03 = s[3], y04 = k[0], y05 = k[1], y06 = k[2], y07 = k[3], y08 = k[4], y09 = k[5], y10 = k[6], y11 = k[7], y12 = cnt, y13 = n[0], y14 = n[1], y15 = n[2];
  let x00 = y00, x01 = y01, x02 = y02, x03 = y03, x04 = y04, x05 = y05, x06 = y06, x07 = y07, x08 = y08, x09 = y09, x10 = y10, x11 = y11, x12 = y12, x13 = y13, x14 = y14, x15 = y15;
  for (let r = 0; r < rounds; r += 2) {
    x00 = x00 + x04 | 0;
    x12 = rotl(x12 ^ x00, 16);
    x08 = x08 + x12 | 0;
    x04 = rotl(x04 ^ x08, 12);
    x00 = x00 + x04 | 0;
    x12 = rotl(x12 ^ x00, 8);
    x08 = x08 + x12 | 0;
    x04 = rotl(x04 ^ x08, 7);
    x01 = x01 + x05 | 0;
    x13 = rotl(x13 ^ x01, 16);
    x09 = x09 + x13 | 0;
    x05 = rotl(x05 ^ x09, 12);
    x01 = x01 + x05 | 0;
    x13 = rotl(x13 ^ x01, 8);
    x09 = x09 + x13 | 0;
    x05 = rotl(x05 ^ x09, 7);
    x02 = x02 + x06 | 0;
    x14 = rotl(x14 ^ x02, 16);
    x10 = x10 + x14 | 0;
    x06 = rotl(x06 ^ x10, 12);
    x02 = x02 + x06 | 0;
    x14 = rotl(x14 ^ x02, 8);
    x10 = x10 + x14 | 0;
    x06 = rotl(x06 ^ x10, 7);
    x03 = x03 + x07 | 0;
    x15 = rotl(x15 ^ x03, 16);
    x11 = x11 + x15 | 0;
    x07 = rotl(x07 ^ x11, 12);
    x03 = x03 + x07 | 0;
    x15 = rotl(x15 ^ x03, 8);
    x11 = x11 + x15 | 0;
    x07 = rotl(x07 ^ x11, 7);
    x00 = x00 + x05 | 0;
    x15 = rotl(x15 ^ x00, 16);
    x10 = x10 + x15 | 0;
    x05 = rotl(x05 ^ x10, 12);
    x00 = x00 + x05 | 0;
    x15 = rotl(x15 ^ x00, 8);
    x10 = x10 + x15 | 0;
    x05 = rotl(x05 ^ x10, 7);
    x01 = x01 + x06 | 0;
    x12 = rotl(x12 ^ x01, 16);
    x11 = x11 + x12 | 0;
    x06 = rotl(x06 ^ x11, 12);
    x01 = x01 + x06 | 0;
    x12 = rotl(x12 ^ x01, 8);
    x11 = x11 + x12 | 0;
    x06 = rotl(x06 ^ x11, 7);
    x02 = x02 + x07 | 0;
    x13 = rotl(x13 ^ x02, 16);
    x08 = x08 + x13 | 0;
    x07 = rotl(x07 ^ x08, 12);
    x02 = x02 + x07 | 0;
    x13 = rotl(x13 ^ x02, 8);
    x08 = x08 + x13 | 0;
    x07 = rotl(x07 ^ x08, 7);
    x03 = x03 + x04 | 0;
    x14 = rotl(x14 ^ x03, 16);
    x09 = x09 + x14 | 0;
    x04 = rotl(x04 ^ x09, 12);
    x03 = x03 + x04 | 0;
    x14 = rotl(x14 ^ x03, 8);
    x09 = x09 + x14 | 0;
    x04 = rotl(x04 ^ x09, 7);
  }
  let oi = 0;
  out[oi++] = y00 + x00 | 0;
  out[oi++] = y01 + x01 | 0;
  out[oi++] = y02 + x02 | 0;
  out[oi++] = y03 + x03 | 0;
  out[oi++] = y04 + x04 | 0;
  out[oi++] = y05 + x05 | 0;
  out[oi++] = y06 + x06 | 0;
  out[oi++] = y07 + x07 | 0;
  out[oi++] = y08 + x08 | 0;
  out[oi++] = y09 + x09 | 0;
  out[oi++] = y10 + x10 | 0;
  out[oi++] = y11 + x11 | 0;
  out[oi++] = y12 + x12 | 0;
  out[oi++] = y13 + x13 | 0;
  out[oi++] = y14 + x14 | 0;
  out[oi++] = y15 + x15 | 0;
}
var chacha20 = /* @__PURE__ */ createCipher(chachaCore, {
  counterRight: false,
  counterLength: 4,
  allowShortKeys: false
});

// src/codec/ciphers.ts
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

// ../../node_modules/@noble/hashes/utils.js
function isBytes2(a) {
  return a instanceof Uint8Array || ArrayBuffer.isView(a) && a.constructor.name === "Uint8Array" && "BYTES_PER_ELEMENT" in a && a.BYTES_PER_ELEMENT === 1;
}
var atitle2 = (title) => title ? `"${title}" ` : "";
function anumber2(n, title = "") {
  if (typeof n !== "number")
    throw new TypeError(atitle2(title) + "expected number, got " + typeof n);
  if (!Number.isSafeInteger(n) || n < 0)
    throw new RangeError(atitle2(title) + "expected integer >= 0, got " + n);
  return n;
}
function abool2(value, title = "") {
  if (typeof value !== "boolean")
    throw new TypeError(atitle2(title) + "expected boolean, got type=" + typeof value);
  return value;
}
function abytes2(value, length, title = "") {
  if (isBytes2(value) && (length === void 0 || value.length === length))
    return value;
  if (length !== void 0)
    anumber2(length, "length");
  const bytes = isBytes2(value);
  const ofLen = length !== void 0 ? ` of length ${length}` : "";
  const got = bytes ? `length=${value.length}` : `type=${typeof value}`;
  const message = atitle2(title) + "expected Uint8Array" + ofLen + ", got " + got;
  if (!bytes)
    throw new TypeError(message);
  throw new RangeError(message);
}
function ahash(h) {
  if (typeof h !== "function" || typeof h.create !== "function")
    throw new TypeError("expected hash wrapped by utils.createHasher");
  anumber2(h.outputLen);
  anumber2(h.blockLen);
  if (h.outputLen < 1 || h.blockLen < 1)
    throw new Error("hash blockLen / outputLen must be >= 1");
}
var aobject2 = (value, label) => {
  if (value === null || typeof value !== "object" || Array.isArray(value))
    throw new TypeError((label === "object" ? "" : `"${label}" `) + "expected object, got type=" + typeof value);
};
var aopts = (value, label) => {
  aobject2(value, label);
  const proto = Object.getPrototypeOf(value);
  if (proto !== Object.prototype && proto !== null)
    throw new TypeError(`"${label}" expected plain object`);
  if (Object.hasOwn(value, "__proto__"))
    throw new TypeError(`"${label}.__proto__" is not allowed`);
};
function aexists2(instance, checkFinished = true) {
  if (instance.destroyed)
    throw new Error("hash was destroyed");
  if (checkFinished && instance.finished)
    throw new Error("digest() was already called");
}
function aoutput2(out, instance) {
  abytes2(out, void 0, "output");
  const min = instance.outputLen;
  if (!(out.length >= min)) {
    throw new RangeError('"output" expected length >= ' + min);
  }
}
function u323(arr) {
  return new Uint32Array(arr.buffer, arr.byteOffset, Math.floor(arr.byteLength / 4));
}
function clean2(...arrays) {
  for (let i = 0; i < arrays.length; i++) {
    arrays[i].fill(0);
  }
}
function createView2(arr) {
  return new DataView(arr.buffer, arr.byteOffset, arr.byteLength);
}
function rotr(word, shift) {
  return word << 32 - shift | word >>> shift;
}
var isLE2 = /* @__PURE__ */ (() => new Uint8Array(new Uint32Array([287454020]).buffer)[0] === 68)();
function byteSwap2(word) {
  return word << 24 & 4278190080 | word << 8 & 16711680 | word >>> 8 & 65280 | word >>> 24 & 255;
}
function byteSwap322(arr) {
  for (let i = 0; i < arr.length; i++) {
    arr[i] = byteSwap2(arr[i]);
  }
  return arr;
}
var swap32IfBE2 = isLE2 ? (u) => u : byteSwap322;
function checkOpts2(defaults, opts2, title = "opts") {
  aopts(defaults, "defaults");
  if (opts2 !== void 0)
    aopts(opts2, title);
  const merged = Object.assign(/* @__PURE__ */ Object.create(null), defaults, opts2);
  return merged;
}
function createHasher(hashCons, info = {}) {
  if (typeof hashCons !== "function")
    throw new TypeError('"hashCons" expected function, got type=' + typeof hashCons);
  info = checkOpts2({}, info, "info");
  const hashC = (msg, opts2) => hashCons(opts2).update(msg).digest();
  const tmp = hashCons(void 0);
  hashC.outputLen = tmp.outputLen;
  hashC.blockLen = tmp.blockLen;
  hashC.canXOF = tmp.canXOF;
  hashC.create = (opts2) => hashCons(opts2);
  Object.assign(hashC, info);
  return Object.freeze(hashC);
}
function randomBytes2(bytesLength = 32) {
  anumber2(bytesLength, "bytesLength");
  const cr = typeof globalThis === "object" ? globalThis.crypto : null;
  if (typeof cr?.getRandomValues !== "function")
    throw new Error("crypto.getRandomValues must be defined");
  if (bytesLength > 65536)
    throw new RangeError(`"bytesLength" expected <= 65536, got ${bytesLength}`);
  return cr.getRandomValues(new Uint8Array(bytesLength));
}
var oidNist = (suffix) => ({
  // Current NIST hashAlgs suffixes used here fit in one DER subidentifier octet.
  // Larger suffix values would need base-128 OID encoding and a different length byte.
  oid: Uint8Array.from([6, 9, 96, 134, 72, 1, 101, 3, 4, 2, suffix])
});

// ../../node_modules/@noble/hashes/hmac.js
var _HMAC = class {
  oHash;
  iHash;
  blockLen;
  outputLen;
  canXOF = false;
  finished = false;
  destroyed = false;
  constructor(hash, key) {
    ahash(hash);
    abytes2(key, void 0, "key");
    this.iHash = hash.create();
    if (typeof this.iHash.update !== "function")
      throw new Error("expected Hash instance");
    this.blockLen = this.iHash.blockLen;
    this.outputLen = this.iHash.outputLen;
    const blockLen = this.blockLen;
    const pad = new Uint8Array(blockLen);
    pad.set(key.length > blockLen ? hash.create().update(key).digest() : key);
    for (let i = 0; i < pad.length; i++)
      pad[i] ^= 54;
    this.iHash.update(pad);
    this.oHash = hash.create();
    for (let i = 0; i < pad.length; i++)
      pad[i] ^= 54 ^ 92;
    this.oHash.update(pad);
    clean2(pad);
  }
  update(buf) {
    aexists2(this);
    this.iHash.update(buf);
    return this;
  }
  digestInto(out) {
    aexists2(this);
    aoutput2(out, this);
    this.finished = true;
    const buf = out.subarray(0, this.outputLen);
    this.iHash.digestInto(buf);
    this.oHash.update(buf);
    this.oHash.digestInto(buf);
    this.destroy();
  }
  digest() {
    const out = new Uint8Array(this.oHash.outputLen);
    this.digestInto(out);
    return out;
  }
  _cloneInto(to) {
    to ||= Object.create(Object.getPrototypeOf(this), {});
    const { oHash, iHash, finished, destroyed, blockLen, outputLen, canXOF } = this;
    to = to;
    to.finished = finished;
    to.destroyed = destroyed;
    to.blockLen = blockLen;
    to.outputLen = outputLen;
    to.canXOF = canXOF;
    to.oHash = oHash._cloneInto(to.oHash);
    to.iHash = iHash._cloneInto(to.iHash);
    return to;
  }
  clone() {
    return this._cloneInto();
  }
  destroy() {
    this.destroyed = true;
    this.oHash.destroy();
    this.iHash.destroy();
  }
};
var hmac = /* @__PURE__ */ (() => {
  const hmac_ = ((hash, key, message) => new _HMAC(hash, key).update(message).digest());
  hmac_.create = (hash, key) => new _HMAC(hash, key);
  return hmac_;
})();

// ../../node_modules/@noble/hashes/hkdf.js
function extract(hash, ikm, salt) {
  ahash(hash);
  if (salt === void 0)
    salt = new Uint8Array(hash.outputLen);
  return hmac(hash, salt, ikm);
}
var HKDF_COUNTER = /* @__PURE__ */ Uint8Array.of(0);
var EMPTY_BUFFER = /* @__PURE__ */ Uint8Array.of();
function expand(hash, prk, info, length = 32, _recycled) {
  ahash(hash);
  anumber2(length, "length");
  abytes2(prk, void 0, "prk");
  const olen = hash.outputLen;
  if (prk.length < olen)
    throw new Error('"prk" must be at least HashLen octets');
  if (length > 255 * olen)
    throw new Error("Length must be <= 255*HashLen");
  const blocks = Math.ceil(length / olen);
  if (info === void 0)
    info = EMPTY_BUFFER;
  else
    abytes2(info, void 0, "info");
  if (!blocks) {
    if (_recycled)
      clean2(prk);
    return new Uint8Array();
  }
  const okm = _recycled && blocks === 1 ? prk : new Uint8Array(blocks * olen);
  const { iHash, oHash } = hmac.create(hash, prk);
  const T = _recycled ? prk : new Uint8Array(olen);
  const worker = blocks > 1 ? _recycled?.iHash || hash.create() : void 0;
  for (let counter = 0; counter < blocks - 1; counter++) {
    HKDF_COUNTER[0] = counter + 1;
    const iWork = iHash._cloneInto(worker);
    if (counter)
      iWork.update(T);
    iWork.update(info).update(HKDF_COUNTER).digestInto(T);
    oHash._cloneInto(worker).update(T).digestInto(T);
    okm.set(T, olen * counter);
  }
  HKDF_COUNTER[0] = blocks;
  if (blocks > 1)
    iHash.update(T);
  iHash.update(info).update(HKDF_COUNTER).digestInto(T);
  oHash.update(T).digestInto(T);
  okm.set(T, olen * (blocks - 1));
  iHash.destroy();
  oHash.destroy();
  worker?.destroy();
  if (T !== okm)
    clean2(T);
  clean2(HKDF_COUNTER);
  if (length === okm.length)
    return okm;
  const res = okm.slice(0, length);
  clean2(okm);
  return res;
}

// ../../node_modules/@noble/hashes/_u64.js
var U32_MASK64 = /* @__PURE__ */ (() => BigInt(2 ** 32 - 1))();
var _32n = /* @__PURE__ */ BigInt(32);
function fromBig(n, le = false) {
  if (le)
    return { h: Number(n & U32_MASK64), l: Number(n >> _32n & U32_MASK64) };
  return { h: Number(n >> _32n & U32_MASK64) | 0, l: Number(n & U32_MASK64) | 0 };
}
function split(lst, le = false) {
  const len = lst.length;
  let Ah = new Uint32Array(len);
  let Al = new Uint32Array(len);
  for (let i = 0; i < len; i++) {
    const { h, l } = fromBig(lst[i], le);
    [Ah[i], Al[i]] = [h, l];
  }
  return [Ah, Al];
}
var fromNumH = (n) => n / 2 ** 32 | 0;
var fromNumL = (n) => n >>> 0;
function setU64FromNum(view, byteOffset, n, isLE3) {
  const h = fromNumH(n);
  const l = fromNumL(n);
  view.setUint32(byteOffset, isLE3 ? l : h, isLE3);
  view.setUint32(byteOffset + 4, isLE3 ? h : l, isLE3);
}

// ../../node_modules/@noble/hashes/_md.js
function Chi(a, b, c) {
  return a & b ^ ~a & c;
}
function Maj(a, b, c) {
  return a & b ^ a & c ^ b & c;
}
var HashMD = class {
  blockLen;
  outputLen;
  canXOF = false;
  padOffset;
  isLE;
  // For partial updates less than block size
  buffer;
  view;
  finished = false;
  length = 0;
  pos = 0;
  destroyed = false;
  constructor(blockLen, outputLen, padOffset, isLE3) {
    this.blockLen = blockLen;
    this.outputLen = outputLen;
    this.padOffset = padOffset;
    this.isLE = isLE3;
    this.buffer = new Uint8Array(blockLen);
    this.view = createView2(this.buffer);
  }
  update(data) {
    aexists2(this);
    abytes2(data);
    const { view, buffer, blockLen } = this;
    const len = data.length;
    let processed = false;
    for (let pos = 0; pos < len; ) {
      const take = Math.min(blockLen - this.pos, len - pos);
      if (take === blockLen) {
        const dataView = createView2(data);
        for (; blockLen <= len - pos; pos += blockLen)
          this.process(dataView, pos);
        processed = true;
        continue;
      }
      buffer.set(pos === 0 && take === len ? data : data.subarray(pos, pos + take), this.pos);
      this.pos += take;
      pos += take;
      if (this.pos === blockLen) {
        this.process(view, 0);
        this.pos = 0;
        processed = true;
      }
    }
    this.length += data.length;
    if (processed)
      this.roundClean();
    return this;
  }
  digestInto(out) {
    aexists2(this);
    aoutput2(out, this);
    this.finished = true;
    const { buffer, view, blockLen, isLE: isLE3 } = this;
    let { pos } = this;
    buffer[pos++] = 128;
    buffer.fill(0, pos);
    if (this.padOffset > blockLen - pos) {
      this.process(view, 0);
      buffer.fill(0);
    }
    setU64FromNum(view, blockLen - 8, this.length * 8, isLE3);
    this.process(view, 0);
    this.roundClean();
    const oview = out === buffer ? view : createView2(out);
    const len = this.outputLen;
    const outLen = len / 4;
    const state = this.get();
    if (len % 4 || outLen > state.length)
      throw new Error("invalid outputLen");
    for (let i = 0; i < outLen; i++)
      oview.setUint32(4 * i, state[i], isLE3);
  }
  digest() {
    const { buffer, outputLen } = this;
    this.digestInto(buffer);
    const res = buffer.slice(0, outputLen);
    this.destroy();
    return res;
  }
  _cloneIntoMeta(to) {
    const { buffer, length, finished, destroyed, pos } = this;
    to.destroyed = destroyed;
    to.finished = finished;
    to.length = length;
    to.pos = pos;
    if (pos)
      to.buffer.set(buffer);
    return to;
  }
  clone() {
    return this._cloneInto();
  }
};
var SHA256_IV = /* @__PURE__ */ Uint32Array.from([
  1779033703,
  3144134277,
  1013904242,
  2773480762,
  1359893119,
  2600822924,
  528734635,
  1541459225
]);

// ../../node_modules/@noble/hashes/sha2.js
var SHA256_K = /* @__PURE__ */ Uint32Array.from([
  1116352408,
  1899447441,
  3049323471,
  3921009573,
  961987163,
  1508970993,
  2453635748,
  2870763221,
  3624381080,
  310598401,
  607225278,
  1426881987,
  1925078388,
  2162078206,
  2614888103,
  3248222580,
  3835390401,
  4022224774,
  264347078,
  604807628,
  770255983,
  1249150122,
  1555081692,
  1996064986,
  2554220882,
  2821834349,
  2952996808,
  3210313671,
  3336571891,
  3584528711,
  113926993,
  338241895,
  666307205,
  773529912,
  1294757372,
  1396182291,
  1695183700,
  1986661051,
  2177026350,
  2456956037,
  2730485921,
  2820302411,
  3259730800,
  3345764771,
  3516065817,
  3600352804,
  4094571909,
  275423344,
  430227734,
  506948616,
  659060556,
  883997877,
  958139571,
  1322822218,
  1537002063,
  1747873779,
  1955562222,
  2024104815,
  2227730452,
  2361852424,
  2428436474,
  2756734187,
  3204031479,
  3329325298
]);
var SHA256_W = /* @__PURE__ */ new Uint32Array(64);
var SHA2_32B = class extends HashMD {
  // We cannot use array here since array allows indexing by variable
  // which means optimizer/compiler cannot use registers.
  // Numeric initializers matter: starting the fields as `undefined` changes
  // V8's field representation and makes sha256 3x slower (measured).
  A = 0;
  B = 0;
  C = 0;
  D = 0;
  E = 0;
  F = 0;
  G = 0;
  H = 0;
  constructor(outputLen, IV) {
    super(64, outputLen, 8, false);
    this.A = IV[0] | 0;
    this.B = IV[1] | 0;
    this.C = IV[2] | 0;
    this.D = IV[3] | 0;
    this.E = IV[4] | 0;
    this.F = IV[5] | 0;
    this.G = IV[6] | 0;
    this.H = IV[7] | 0;
  }
  get() {
    const { A, B: B2, C, D, E, F: F2, G, H } = this;
    return [A, B2, C, D, E, F2, G, H];
  }
  // prettier-ignore
  set(A, B2, C, D, E, F2, G, H) {
    this.A = A | 0;
    this.B = B2 | 0;
    this.C = C | 0;
    this.D = D | 0;
    this.E = E | 0;
    this.F = F2 | 0;
    this.G = G | 0;
    this.H = H | 0;
  }
  _cloneInto(to) {
    (to ||= new this.constructor()).set(...this.get());
    return this._cloneIntoMeta(to);
  }
  process(view, offset) {
    for (let i = 0; i < 16; i++, offset += 4)
      SHA256_W[i] = view.getUint32(offset, false);
    for (let i = 16; i < 64; i++) {
      const W15 = SHA256_W[i - 15];
      const W2 = SHA256_W[i - 2];
      const s0 = rotr(W15, 7) ^ rotr(W15, 18) ^ W15 >>> 3;
      const s1 = rotr(W2, 17) ^ rotr(W2, 19) ^ W2 >>> 10;
      SHA256_W[i] = s1 + SHA256_W[i - 7] + s0 + SHA256_W[i - 16] | 0;
    }
    let { A, B: B2, C, D, E, F: F2, G, H } = this;
    for (let i = 0; i < 64; i++) {
      const sigma1 = rotr(E, 6) ^ rotr(E, 11) ^ rotr(E, 25);
      const T1 = H + sigma1 + Chi(E, F2, G) + SHA256_K[i] + SHA256_W[i] | 0;
      const sigma0 = rotr(A, 2) ^ rotr(A, 13) ^ rotr(A, 22);
      const T2 = sigma0 + Maj(A, B2, C) | 0;
      H = G;
      G = F2;
      F2 = E;
      E = D + T1 | 0;
      D = C;
      C = B2;
      B2 = A;
      A = T1 + T2 | 0;
    }
    A = A + this.A | 0;
    B2 = B2 + this.B | 0;
    C = C + this.C | 0;
    D = D + this.D | 0;
    E = E + this.E | 0;
    F2 = F2 + this.F | 0;
    G = G + this.G | 0;
    H = H + this.H | 0;
    this.set(A, B2, C, D, E, F2, G, H);
  }
  roundClean() {
    clean2(SHA256_W);
  }
  destroy() {
    this.destroyed = true;
    this.set(0, 0, 0, 0, 0, 0, 0, 0);
    clean2(this.buffer);
  }
};
var _SHA256 = class extends SHA2_32B {
  constructor() {
    super(32, SHA256_IV);
  }
};
var sha256 = /* @__PURE__ */ createHasher(
  () => new _SHA256(),
  /* @__PURE__ */ oidNist(1)
);

// src/codec/schedule.ts
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
  return sha256(bytes).subarray(0, CHECK_SIZE);
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

// ../../node_modules/@noble/hashes/sha3.js
var _0n = BigInt(0);
var _1n = BigInt(1);
var _2n = BigInt(2);
var _7n = BigInt(7);
var _256n = BigInt(256);
var _0x71n = BigInt(113);
var SHA3_PI = [];
var SHA3_ROTL = [];
var _SHA3_IOTA = [];
for (let round = 0, R = _1n, x = 1, y = 0; round < 24; round++) {
  [x, y] = [y, (2 * x + 3 * y) % 5];
  SHA3_PI.push(2 * (5 * y + x));
  SHA3_ROTL.push((round + 1) * (round + 2) / 2 % 64);
  let t = _0n;
  for (let j = 0; j < 7; j++) {
    R = (R << _1n ^ (R >> _7n) * _0x71n) % _256n;
    if (R & _2n)
      t ^= _1n << (_1n << BigInt(j)) - _1n;
  }
  _SHA3_IOTA.push(t);
}
var IOTAS = split(_SHA3_IOTA, true);
var SHA3_IOTA_H = IOTAS[0];
var SHA3_IOTA_L = IOTAS[1];
var rotlSH = (h, l, s) => h << s | l >>> 32 - s;
var rotlSL = (h, l, s) => l << s | h >>> 32 - s;
var rotlBH = (h, l, s) => l << s - 32 | h >>> 64 - s;
var rotlBL = (h, l, s) => h << s - 32 | l >>> 64 - s;
var rotlH = (h, l, s) => s > 32 ? rotlBH(h, l, s) : rotlSH(h, l, s);
var rotlL = (h, l, s) => s > 32 ? rotlBL(h, l, s) : rotlSL(h, l, s);
var B = new Uint32Array(5 * 2);
function keccakP(s, rounds = 24) {
  if (!(s instanceof Uint32Array))
    throw new TypeError('"s" expected Uint32Array(50), got type=' + typeof s);
  if (s.length !== 50)
    throw new RangeError('"s" expected Uint32Array(50), got length=' + s.length);
  anumber2(rounds, "rounds");
  if (rounds < 1 || rounds > 24)
    throw new Error('"rounds" expected integer 1..24');
  for (let round = 24 - rounds; round < 24; round++) {
    for (let x = 0; x < 10; x++)
      B[x] = s[x] ^ s[x + 10] ^ s[x + 20] ^ s[x + 30] ^ s[x + 40];
    for (let x = 0; x < 10; x += 2) {
      const idx1 = (x + 8) % 10;
      const idx0 = (x + 2) % 10;
      const B0 = B[idx0];
      const B1 = B[idx0 + 1];
      const Th = rotlH(B0, B1, 1) ^ B[idx1];
      const Tl = rotlL(B0, B1, 1) ^ B[idx1 + 1];
      for (let y = 0; y < 50; y += 10) {
        s[x + y] ^= Th;
        s[x + y + 1] ^= Tl;
      }
    }
    let curH = s[2];
    let curL = s[3];
    for (let t = 0; t < 24; t++) {
      const shift = SHA3_ROTL[t];
      const Th = rotlH(curH, curL, shift);
      const Tl = rotlL(curH, curL, shift);
      const PI = SHA3_PI[t];
      curH = s[PI];
      curL = s[PI + 1];
      s[PI] = Th;
      s[PI + 1] = Tl;
    }
    for (let y = 0; y < 50; y += 10) {
      const b0 = s[y], b1 = s[y + 1], b2 = s[y + 2], b3 = s[y + 3];
      s[y] ^= ~s[y + 2] & s[y + 4];
      s[y + 1] ^= ~s[y + 3] & s[y + 5];
      s[y + 2] ^= ~s[y + 4] & s[y + 6];
      s[y + 3] ^= ~s[y + 5] & s[y + 7];
      s[y + 4] ^= ~s[y + 6] & s[y + 8];
      s[y + 5] ^= ~s[y + 7] & s[y + 9];
      s[y + 6] ^= ~s[y + 8] & b0;
      s[y + 7] ^= ~s[y + 9] & b1;
      s[y + 8] ^= ~b0 & b2;
      s[y + 9] ^= ~b1 & b3;
    }
    s[0] ^= SHA3_IOTA_H[round];
    s[1] ^= SHA3_IOTA_L[round];
  }
  clean2(B);
}
var Keccak = class _Keccak {
  state;
  pos = 0;
  posOut = 0;
  finished = false;
  state32;
  destroyed = false;
  blockLen;
  suffix;
  outputLen;
  canXOF;
  enableXOF = false;
  rounds;
  // NOTE: we accept arguments in bytes instead of bits here.
  constructor(blockLen, suffix, outputLen, enableXOF = false, rounds = 24) {
    anumber2(blockLen, "blockLen");
    anumber2(suffix, "suffix");
    anumber2(rounds, "rounds");
    abool2(enableXOF, "enableXOF");
    this.blockLen = blockLen;
    this.suffix = suffix;
    this.outputLen = outputLen;
    this.enableXOF = enableXOF;
    this.canXOF = enableXOF;
    this.rounds = rounds;
    anumber2(outputLen, "outputLen");
    if (!(0 < blockLen && blockLen < 200))
      throw new Error('"blockLen" must be 1..199');
    this.state = new Uint8Array(200);
    this.state32 = u323(this.state);
  }
  clone() {
    return this._cloneInto();
  }
  keccak() {
    swap32IfBE2(this.state32);
    keccakP(this.state32, this.rounds);
    swap32IfBE2(this.state32);
    this.posOut = 0;
    this.pos = 0;
  }
  update(data) {
    aexists2(this);
    abytes2(data);
    const { blockLen, state, state32 } = this;
    const len = data.length;
    const canUseU32 = blockLen % 4 === 0 && data.byteOffset % 4 === 0;
    const blockLen32 = blockLen / 4;
    const data32 = canUseU32 && len >= blockLen ? u323(data) : void 0;
    for (let pos = 0; pos < len; ) {
      if (data32 !== void 0 && this.pos === 0 && pos % 4 === 0 && len - pos >= blockLen) {
        for (let i = 0, o = pos / 4; i < blockLen32; i++)
          state32[i] ^= data32[o + i];
        pos += blockLen;
        this.pos = blockLen;
        this.keccak();
        continue;
      }
      const take = Math.min(blockLen - this.pos, len - pos);
      for (let i = 0; i < take; i++)
        state[this.pos++] ^= data[pos++];
      if (this.pos === blockLen)
        this.keccak();
    }
    return this;
  }
  finish() {
    if (this.finished)
      return;
    this.finished = true;
    const { state, suffix, pos, blockLen } = this;
    state[pos] ^= suffix;
    if ((suffix & 128) !== 0 && pos === blockLen - 1)
      this.keccak();
    state[blockLen - 1] ^= 128;
    this.keccak();
  }
  writeInto(out) {
    aexists2(this, false);
    abytes2(out);
    this.finish();
    const bufferOut = this.state;
    const { blockLen } = this;
    for (let pos = 0, len = out.length; pos < len; ) {
      if (this.posOut >= blockLen)
        this.keccak();
      const take = Math.min(blockLen - this.posOut, len - pos);
      out.set(bufferOut.subarray(this.posOut, this.posOut + take), pos);
      this.posOut += take;
      pos += take;
    }
    return out;
  }
  xofInto(out) {
    if (!this.enableXOF)
      throw new Error("XOF is not enabled");
    return this.writeInto(out);
  }
  xof(bytes) {
    anumber2(bytes);
    return this.xofInto(new Uint8Array(bytes));
  }
  digestInto(out) {
    aoutput2(out, this);
    if (this.finished)
      throw new Error("digest() was already called");
    this.writeInto(out.length === this.outputLen ? out : out.subarray(0, this.outputLen));
    this.destroy();
  }
  digest() {
    const out = new Uint8Array(this.outputLen);
    this.digestInto(out);
    return out;
  }
  destroy() {
    this.destroyed = true;
    clean2(this.state);
  }
  _cloneInto(to) {
    const { blockLen, suffix, outputLen, rounds, enableXOF } = this;
    to ||= new _Keccak(blockLen, suffix, outputLen, enableXOF, rounds);
    to.blockLen = blockLen;
    to.state32.set(this.state32);
    to.pos = this.pos;
    to.posOut = this.posOut;
    to.finished = this.finished;
    to.rounds = rounds;
    to.suffix = suffix;
    to.outputLen = outputLen;
    to.enableXOF = enableXOF;
    to.canXOF = this.canXOF;
    to.destroyed = this.destroyed;
    return to;
  }
};
var genKeccak = (suffix, blockLen, outputLen, info = {}) => createHasher(() => new Keccak(blockLen, suffix, outputLen), info);
var sha3_256 = /* @__PURE__ */ genKeccak(
  6,
  136,
  32,
  /* @__PURE__ */ oidNist(8)
);
var sha3_512 = /* @__PURE__ */ genKeccak(
  6,
  72,
  64,
  /* @__PURE__ */ oidNist(10)
);
var genShake = (suffix, blockLen, outputLen, info = {}) => createHasher((opts2 = {}) => {
  opts2 = checkOpts2({}, opts2);
  return new Keccak(blockLen, suffix, opts2.dkLen === void 0 ? outputLen : opts2.dkLen, true);
}, info);
var shake128 = /* @__PURE__ */ genShake(31, 168, 16, /* @__PURE__ */ oidNist(11));
var shake256 = /* @__PURE__ */ genShake(31, 136, 32, /* @__PURE__ */ oidNist(12));

// ../../node_modules/@noble/curves/utils.js
function aobject3(value, title = "object") {
  if (value === null || typeof value !== "object" || Array.isArray(value))
    throw new TypeError(title === "object" ? "expected valid options object" : `"${title}" expected object, got type=${typeof value}`);
  return value;
}
function validateObject(object, fields = {}, optFields = {}, title = "object") {
  aobject3(object, title);
  aobject3(fields, "fields");
  aobject3(optFields, "optFields");
  function checkField(fieldName, expectedType, isOpt) {
    const label = title === "object" ? `param "${String(fieldName)}"` : `"${title}.${String(fieldName)}"`;
    const val = object[fieldName];
    if (!Object.hasOwn(object, fieldName) && (isOpt ? val !== void 0 : expectedType !== "function")) {
      throw new TypeError(`${label} is invalid: expected own property`);
    }
    if (isOpt && val === void 0)
      return;
    const current = typeof val;
    if (current !== expectedType || val === null)
      throw new TypeError(`${label} is invalid: expected ${expectedType}, got ${current}`);
  }
  const iter = (f, isOpt) => Object.entries(f).forEach(([k, v]) => checkField(k, v, isOpt));
  iter(fields, false);
  iter(optFields, true);
}

// ../../node_modules/@noble/curves/abstract/fft.js
function checkU32(n, title = "n") {
  if (typeof n !== "number")
    throw new TypeError(`wrong u32 integer "${title}": expected number, got type=${typeof n}`);
  if (!Number.isSafeInteger(n) || n < 0 || n > 4294967295)
    throw new RangeError(`wrong u32 integer "${title}": expected 0..4294967295, got ${n}`);
  return n;
}
function isPowerOfTwo(x) {
  checkU32(x, "x");
  return (x & x - 1) === 0 && x !== 0;
}
function reverseBits(n, bits) {
  checkU32(n);
  if (typeof bits !== "number")
    throw new TypeError('"bits" expected number, got type=' + typeof bits);
  if (!Number.isSafeInteger(bits) || bits < 0 || bits > 32)
    throw new Error(`expected integer 0 <= bits <= 32, got ${bits}`);
  let reversed = 0;
  for (let i = 0; i < bits; i++, n >>>= 1)
    reversed = reversed << 1 | n & 1;
  return reversed >>> 0;
}
function log2(n) {
  checkU32(n);
  return 31 - Math.clz32(n);
}
function bitReversalInplace(values) {
  if (!values || typeof values !== "object" || typeof values.length !== "number")
    throw new TypeError('"values" expected array-like, got type=' + typeof values);
  const n = values.length;
  if (!isPowerOfTwo(n))
    throw new Error("expected positive power-of-two length, got " + n);
  const bits = log2(n);
  for (let i = 0; i < n; i++) {
    const j = reverseBits(i, bits);
    if (i < j) {
      const tmp = values[i];
      values[i] = values[j];
      values[j] = tmp;
    }
  }
  return values;
}
var FFTCore = (F2, coreOpts) => {
  validateObject(coreOpts, { N: "number", roots: "object", dit: "boolean" }, { invertButterflies: "boolean", skipStages: "number", brp: "boolean" }, "coreOpts");
  const { N: N2, roots, dit, invertButterflies = false, skipStages = 0, brp = true } = coreOpts;
  checkU32(N2, "coreOpts.N");
  const bits = log2(N2);
  if (!isPowerOfTwo(N2))
    throw new Error("FFT: Polynomial size should be power of two");
  checkU32(skipStages, "coreOpts.skipStages");
  const maxSkipStages = bits === 0 ? 0 : bits - 1;
  if (skipStages > maxSkipStages)
    throw new Error(`FFT: wrong skipStages: expected 0 <= skipStages <= ${maxSkipStages}`);
  if (roots.length !== N2)
    throw new Error(`FFT: wrong roots length: expected ${N2}, got ${roots.length}`);
  const isDit = dit !== invertButterflies;
  return (values) => {
    if (values.length !== N2)
      throw new Error("FFT: wrong Polynomial length");
    if (dit && brp)
      bitReversalInplace(values);
    for (let i = 0, g = 1; i < bits - skipStages; i++) {
      const s = dit ? i + 1 + skipStages : bits - i;
      const m = 1 << s;
      const m2 = m >> 1;
      const stride = N2 >> s;
      for (let k = 0; k < N2; k += m) {
        for (let j = 0, grp = g++; j < m2; j++) {
          const rootPos = invertButterflies ? dit ? N2 - grp : grp : j * stride;
          const i0 = k + j;
          const i1 = k + j + m2;
          const omega = roots[rootPos];
          const b = values[i1];
          const a = values[i0];
          if (isDit) {
            const t = F2.mul(b, omega);
            values[i0] = F2.add(a, t);
            values[i1] = F2.sub(a, t);
          } else if (invertButterflies) {
            values[i0] = F2.add(b, a);
            values[i1] = F2.mul(F2.sub(b, a), omega);
          } else {
            values[i0] = F2.add(a, b);
            values[i1] = F2.mul(F2.sub(a, b), omega);
          }
        }
      }
    }
    if (!dit && brp)
      bitReversalInplace(values);
    return values;
  };
};

// ../../node_modules/@noble/post-quantum/utils.js
var abytesDoc = abytes2;
var randomBytes3 = randomBytes2;
function aarray2(item, title, inner = () => {
}) {
  if (!Array.isArray(item))
    throw new TypeError(`"${title}" expected array, got type=${typeof item}`);
  for (let i = 0; i < item.length; i++)
    inner(item[i], `${title}[${i}]`);
  return item;
}
function equalBytes2(a, b) {
  a = abytes2(a);
  b = abytes2(b);
  if (a.length !== b.length)
    return false;
  let diff = 0;
  for (let i = 0; i < a.length; i++)
    diff |= a[i] ^ b[i];
  return diff === 0;
}
function copyBytes2(bytes) {
  return new Uint8Array(abytes2(bytes));
}
function splitCoder(label, ...lengths) {
  const getLength = (c) => typeof c === "number" ? c : c.bytesLen;
  const bytesLen = lengths.reduce((sum, a) => sum + getLength(a), 0);
  return {
    bytesLen,
    encode: (bufs) => {
      const res = new Uint8Array(bytesLen);
      for (let i = 0, pos = 0; i < lengths.length; i++) {
        const c = lengths[i];
        const l = getLength(c);
        const b = typeof c === "number" ? bufs[i] : c.encode(bufs[i]);
        abytes2(b, l, label);
        res.set(b, pos);
        if (typeof c !== "number")
          b.fill(0);
        pos += l;
      }
      return res;
    },
    decode: (buf) => {
      abytes2(buf, bytesLen, label);
      const res = [];
      for (const c of lengths) {
        const l = getLength(c);
        const b = buf.subarray(0, l);
        res.push(typeof c === "number" ? b : c.decode(b));
        buf = buf.subarray(l);
      }
      return res;
    }
  };
}
function vecCoder(c, vecLen) {
  const coder = c;
  const bytesLen = vecLen * coder.bytesLen;
  return {
    bytesLen,
    encode: (u) => {
      const uArr = aarray2(u, "u");
      if (uArr.length !== vecLen)
        throw new RangeError(`vecCoder.encode: wrong length=${uArr.length}. Expected: ${vecLen}`);
      const res = new Uint8Array(bytesLen);
      for (let i = 0, pos = 0; i < uArr.length; i++) {
        const b = coder.encode(uArr[i]);
        res.set(b, pos);
        b.fill(0);
        pos += b.length;
      }
      return res;
    },
    decode: (a) => {
      abytes2(a, bytesLen);
      const r = [];
      for (let i = 0; i < a.length; i += coder.bytesLen)
        r.push(coder.decode(a.subarray(i, i + coder.bytesLen)));
      return r;
    }
  };
}
function cleanBytes(...list) {
  for (const t of list) {
    if (Array.isArray(t))
      for (const b of t)
        b.fill(0);
    else
      t.fill(0);
  }
}
function getMask(bits) {
  anumber2(bits, "bits");
  if (bits > 32)
    throw new RangeError('"bits" expected <= 32, got ' + bits);
  return bits === 32 ? 4294967295 : ~(-1 << bits) >>> 0;
}

// ../../node_modules/@noble/post-quantum/_crystals.js
var genCrystals = (opts2) => {
  const { newPoly, N: N2, Q: Q2, F: F2, ROOT_OF_UNITY: ROOT_OF_UNITY2, brvBits, isKyber } = opts2;
  const mod = (a, modulo = Q2) => {
    const result = a % modulo | 0;
    return (result >= 0 ? result | 0 : modulo + result | 0) | 0;
  };
  const smod = (a, modulo = Q2) => {
    const r = mod(a, modulo) | 0;
    return (r > modulo >> 1 ? r - modulo | 0 : r) | 0;
  };
  function getZettas() {
    const out = newPoly(N2);
    for (let i = 0; i < N2; i++) {
      const b = reverseBits(i, brvBits);
      const p = BigInt(ROOT_OF_UNITY2) ** BigInt(b) % BigInt(Q2);
      out[i] = Number(p) | 0;
    }
    return out;
  }
  const nttZetas = getZettas();
  const inv = (_a) => {
    throw new Error("not implemented");
  };
  const field = isKyber ? {
    add: (a, b) => {
      const r = a + b | 0;
      return r >= Q2 ? r - Q2 | 0 : r;
    },
    sub: (a, b) => {
      const r = a - b | 0;
      return r < 0 ? r + Q2 | 0 : r;
    },
    mul: (a, b) => mod((a | 0) * (b | 0)) | 0,
    inv
  } : {
    add: (a, b) => mod((a | 0) + (b | 0)) | 0,
    sub: (a, b) => mod((a | 0) - (b | 0)) | 0,
    mul: (a, b) => mod((a | 0) * (b | 0)) | 0,
    inv
  };
  const nttOpts = {
    N: N2,
    roots: nttZetas,
    invertButterflies: true,
    skipStages: isKyber ? 1 : 0,
    brp: false
  };
  const dif = FFTCore(field, { dit: false, ...nttOpts });
  const dit = FFTCore(field, { dit: true, ...nttOpts });
  const NTT = {
    encode: (r) => {
      return dif(r);
    },
    decode: (r) => {
      dit(r);
      for (let i = 0; i < r.length; i++)
        r[i] = mod(F2 * r[i]);
      return r;
    }
  };
  const bitsCoder = (d, c) => {
    for (let i = 0, bufLen = 0; i < N2; i++) {
      bufLen += d;
      if (bufLen > 32)
        getMask(bufLen);
      bufLen %= 8;
    }
    const mask = getMask(d);
    const bytesLen = d * (N2 / 8);
    return {
      bytesLen,
      encode: (poly_) => {
        const poly = poly_;
        const r = new Uint8Array(bytesLen);
        for (let i = 0, buf = 0, bufLen = 0, pos = 0; i < poly.length; i++) {
          buf |= (c.encode(poly[i]) & mask) << bufLen;
          bufLen += d;
          for (; bufLen >= 8; bufLen -= 8, buf >>= 8)
            r[pos++] = buf & 255;
        }
        return r;
      },
      decode: (bytes) => {
        const r = newPoly(N2);
        for (let i = 0, buf = 0, bufLen = 0, pos = 0; i < bytes.length; i++) {
          buf |= bytes[i] << bufLen;
          bufLen += 8;
          for (; bufLen >= d; bufLen -= d, buf >>= d)
            r[pos++] = c.decode(buf & mask);
        }
        return r;
      }
    };
  };
  return {
    mod,
    smod,
    nttZetas,
    NTT: {
      encode: (r) => NTT.encode(r),
      decode: (r) => NTT.decode(r)
    },
    bitsCoder
  };
};
var createXofShake = (shake) => (seed, blockLen) => {
  if (!blockLen)
    blockLen = shake.blockLen;
  const _seed = new Uint8Array(seed.length + 2);
  _seed.set(seed);
  const seedLen = seed.length;
  const buf = new Uint8Array(blockLen);
  let h = shake.create({});
  let calls = 0;
  let xofs = 0;
  return {
    stats: () => ({ calls, xofs }),
    get: (x, y) => {
      _seed[seedLen + 0] = x;
      _seed[seedLen + 1] = y;
      h.destroy();
      h = shake.create({}).update(_seed);
      calls++;
      return () => {
        xofs++;
        return h.xofInto(buf);
      };
    },
    clean: () => {
      h.destroy();
      cleanBytes(buf, _seed);
    }
  };
};
var XOF128 = /* @__PURE__ */ createXofShake(shake128);

// ../../node_modules/@noble/post-quantum/ml-kem.js
var N = 256;
var Q = 3329;
var F = 3303;
var ROOT_OF_UNITY = 17;
var crystals = /* @__PURE__ */ genCrystals({
  N,
  Q,
  F,
  ROOT_OF_UNITY,
  newPoly: (n) => new Uint16Array(n),
  brvBits: 7,
  isKyber: true
});
var PARAMS = /* @__PURE__ */ (() => Object.freeze({
  512: Object.freeze({ N, Q, K: 2, ETA1: 3, ETA2: 2, du: 10, dv: 4, RBGstrength: 128 }),
  768: Object.freeze({ N, Q, K: 3, ETA1: 2, ETA2: 2, du: 10, dv: 4, RBGstrength: 192 }),
  1024: Object.freeze({ N, Q, K: 4, ETA1: 2, ETA2: 2, du: 11, dv: 5, RBGstrength: 256 })
}))();
var compress = (d) => {
  if (d >= 12)
    return { encode: (i) => i, decode: (i) => i >= Q ? i - Q : i };
  const a = 2 ** (d - 1);
  return {
    // This only matches standalone Compress_d after bitsCoder masks the result into Z_(2^d).
    encode: (i) => ((i << d) + Q / 2) / Q,
    // const decompress = (i: number) => round((Q / 2 ** d) * i);
    decode: (i) => i * Q + a >>> d
  };
};
var byteCoder = (d) => crystals.bitsCoder(d, d === 12 ? { encode: (i) => i, decode: (i) => i >= Q ? i - Q : i } : { encode: (i) => i, decode: (i) => i });
var polyCoder = (d) => d === 12 ? byteCoder(12) : crystals.bitsCoder(d, compress(d));
function polyAdd(a_, b_) {
  const a = a_;
  const b = b_;
  for (let i = 0; i < N; i++) {
    const r = a[i] + b[i];
    a[i] = r >= Q ? r - Q : r;
  }
}
function polySub(a_, b_) {
  const a = a_;
  const b = b_;
  for (let i = 0; i < N; i++) {
    const r = a[i] - b[i];
    a[i] = r < 0 ? r + Q : r;
  }
}
function BaseCaseMultiply(a0, a1, b0, b1, zeta) {
  const c0 = crystals.mod(crystals.mod(a1 * b1) * zeta + a0 * b0);
  const c1 = crystals.mod(a0 * b1 + a1 * b0);
  return { c0, c1 };
}
function MultiplyNTTs(f_, g_) {
  const f = f_;
  const g = g_;
  for (let i = 0; i < N / 2; i++) {
    let z = crystals.nttZetas[64 + (i >> 1)];
    if (i & 1)
      z = -z;
    const { c0, c1 } = BaseCaseMultiply(f[2 * i + 0], f[2 * i + 1], g[2 * i + 0], g[2 * i + 1], z);
    f[2 * i + 0] = c0;
    f[2 * i + 1] = c1;
  }
  return f;
}
function SampleNTT(xof_) {
  const xof = xof_;
  const r = new Uint16Array(N);
  for (let j = 0; j < N; ) {
    const b = xof();
    if (b.length % 3)
      throw new Error("SampleNTT: unaligned block");
    for (let i = 0; j < N && i + 3 <= b.length; i += 3) {
      const d1 = (b[i + 0] >> 0 | b[i + 1] << 8) & 4095;
      const d2 = (b[i + 1] >> 4 | b[i + 2] << 4) & 4095;
      if (d1 < Q)
        r[j++] = d1;
      if (j < N && d2 < Q)
        r[j++] = d2;
    }
  }
  return r;
}
var sampleCBDBytes = (buf, eta) => {
  const r = new Uint16Array(N);
  const b32 = u323(buf);
  swap32IfBE2(b32);
  let len = 0;
  for (let i = 0, p = 0, bb = 0, t0 = 0; i < b32.length; i++) {
    let b = b32[i];
    for (let j = 0; j < 32; j++) {
      bb += b & 1;
      b >>= 1;
      len += 1;
      if (len === eta) {
        t0 = bb;
        bb = 0;
      } else if (len === 2 * eta) {
        r[p++] = crystals.mod(t0 - bb);
        bb = 0;
        len = 0;
      }
    }
  }
  swap32IfBE2(b32);
  if (len)
    throw new Error(`sampleCBD: leftover bits: ${len}`);
  return r;
};
function sampleCBD(PRF_, seed, nonce, eta) {
  const PRF = PRF_;
  return sampleCBDBytes(PRF(eta * N / 4, seed, nonce), eta);
}
var genKPKE = (opts_) => {
  const opts2 = opts_;
  const { K, PRF, XOF, HASH512, ETA1, ETA2, du, dv } = opts2;
  const poly1 = polyCoder(1);
  const polyV = polyCoder(dv);
  const polyU = polyCoder(du);
  const publicCoder = splitCoder("publicKey", vecCoder(polyCoder(12), K), 32);
  const secretCoder = vecCoder(polyCoder(12), K);
  const cipherCoder = splitCoder("ciphertext", vecCoder(polyU, K), polyV);
  const seedCoder = splitCoder("seed", 32, 32);
  const encryptCore = (tHat, getA, msg, seed) => {
    const rHat = [];
    for (let i = 0; i < K; i++)
      rHat.push(crystals.NTT.encode(sampleCBD(PRF, seed, i, ETA1)));
    const tmp2 = new Uint16Array(N);
    const u = [];
    for (let i = 0; i < K; i++) {
      const e1 = sampleCBD(PRF, seed, K + i, ETA2);
      const tmp = new Uint16Array(N);
      for (let j = 0; j < K; j++) {
        const aij = getA(i, j);
        polyAdd(tmp, MultiplyNTTs(aij, rHat[j]));
      }
      polyAdd(e1, crystals.NTT.decode(tmp));
      u.push(e1);
      polyAdd(tmp2, MultiplyNTTs(tHat[i], rHat[i]));
      cleanBytes(tmp);
    }
    const e2 = sampleCBD(PRF, seed, 2 * K, ETA2);
    polyAdd(e2, crystals.NTT.decode(tmp2));
    const v = poly1.decode(msg);
    polyAdd(v, e2);
    cleanBytes(tHat, rHat, tmp2, e2);
    return cipherCoder.encode([u, v]);
  };
  return {
    secretCoder,
    lengths: {
      secretKey: secretCoder.bytesLen,
      publicKey: publicCoder.bytesLen,
      cipherText: cipherCoder.bytesLen
    },
    keygen: (seed) => {
      abytesDoc(seed, 32, "seed");
      const seedDst = new Uint8Array(33);
      seedDst.set(seed);
      seedDst[32] = K;
      const seedHash = HASH512(seedDst);
      const [rho, sigma] = seedCoder.decode(seedHash);
      const sHat = [];
      const tHat = [];
      for (let i = 0; i < K; i++)
        sHat.push(crystals.NTT.encode(sampleCBD(PRF, sigma, i, ETA1)));
      const x = XOF(rho);
      for (let i = 0; i < K; i++) {
        const e = crystals.NTT.encode(sampleCBD(PRF, sigma, K + i, ETA1));
        for (let j = 0; j < K; j++) {
          const aji = SampleNTT(x.get(j, i));
          polyAdd(e, MultiplyNTTs(aji, sHat[j]));
        }
        tHat.push(e);
      }
      x.clean();
      const res = {
        publicKey: publicCoder.encode([tHat, rho]),
        secretKey: secretCoder.encode(sHat)
      };
      cleanBytes(rho, sigma, sHat, tHat, seedDst, seedHash);
      return res;
    },
    encrypt: (publicKey, msg, seed) => {
      const [tHat, rho] = publicCoder.decode(publicKey);
      const x = XOF(rho);
      const res = encryptCore(tHat, (i, j) => SampleNTT(x.get(i, j)), msg, seed);
      x.clean();
      return res;
    },
    // Expands the full Â matrix (public data derived from rho) once, so repeated encryptions
    // against the same ek skip the K² SampleNTT XOF expansions. Cached polys are copied per
    // call because encryptCore mutates its inputs in place.
    prepare: (publicKey) => {
      const [tHat, rho] = publicCoder.decode(publicKey);
      const x = XOF(rho);
      const A = [];
      for (let i = 0; i < K; i++)
        for (let j = 0; j < K; j++)
          A.push(SampleNTT(x.get(i, j)));
      x.clean();
      return {
        encrypt: (msg, seed) => encryptCore(tHat.map((p) => p.slice()), (i, j) => A[i * K + j].slice(), msg, seed),
        clean: () => cleanBytes(tHat, A)
      };
    },
    decrypt: (cipherText, privateKey) => {
      const [u, v] = cipherCoder.decode(cipherText);
      const sk = secretCoder.decode(privateKey);
      const tmp = new Uint16Array(N);
      for (let i = 0; i < K; i++)
        polyAdd(tmp, MultiplyNTTs(sk[i], crystals.NTT.encode(u[i])));
      polySub(v, crystals.NTT.decode(tmp));
      const res = poly1.encode(v);
      cleanBytes(tmp, sk, u, v);
      return res;
    }
  };
};
function createKyber(opts2) {
  const rawOpts = opts2;
  const KPKE = genKPKE(rawOpts);
  const { HASH256, HASH512, KDF } = rawOpts;
  const { secretCoder: KPKESecretCoder, lengths } = KPKE;
  const secretCoder = splitCoder("secretKey", lengths.secretKey, lengths.publicKey, 32, 32);
  const msgLen = 32;
  const seedLen = 64;
  const validateModulus = (publicKey, fn) => {
    const eke = publicKey.subarray(0, 384 * rawOpts.K);
    const ek = KPKESecretCoder.encode(KPKESecretCoder.decode(copyBytes2(eke)));
    const ok = equalBytes2(ek, eke);
    cleanBytes(ek);
    if (!ok)
      throw new Error(`ML-KEM.${fn}: wrong publicKey modulus`);
  };
  const kemLengths = Object.freeze({
    ...lengths,
    seed: 64,
    msg: msgLen,
    msgRand: msgLen,
    secretKey: secretCoder.bytesLen
  });
  return Object.freeze({
    info: Object.freeze({ type: "ml-kem" }),
    lengths: kemLengths,
    keygen: (seed) => {
      const ownSeed = seed === void 0;
      const s = ownSeed ? randomBytes3(seedLen) : seed;
      let sk;
      let publicKeyHash;
      try {
        abytesDoc(s, seedLen, "seed");
        const keys = KPKE.keygen(s.subarray(0, 32));
        const publicKey = keys.publicKey;
        sk = keys.secretKey;
        publicKeyHash = HASH256(publicKey);
        const secretKey = secretCoder.encode([sk, publicKey, publicKeyHash, s.subarray(32)]);
        return {
          publicKey,
          secretKey
        };
      } finally {
        if (sk !== void 0)
          cleanBytes(sk);
        if (publicKeyHash !== void 0)
          cleanBytes(publicKeyHash);
        if (ownSeed)
          cleanBytes(s);
      }
    },
    getPublicKey: (secretKey) => {
      const [_sk, publicKey, _publicKeyHash, _z] = secretCoder.decode(secretKey);
      return Uint8Array.from(publicKey);
    },
    encapsulate: (publicKey, msg) => {
      const ownMsg = msg === void 0;
      const m = ownMsg ? randomBytes3(msgLen) : msg;
      let kr;
      try {
        abytesDoc(publicKey, lengths.publicKey, "publicKey");
        abytesDoc(m, msgLen, "message");
        validateModulus(publicKey, "encapsulate");
        kr = HASH512.create().update(m).update(HASH256(publicKey)).digest();
        const cipherText = KPKE.encrypt(publicKey, m, kr.subarray(32, 64));
        return {
          cipherText,
          sharedSecret: kr.subarray(0, 32)
        };
      } finally {
        if (kr !== void 0)
          cleanBytes(kr.subarray(32));
        if (ownMsg)
          cleanBytes(m);
      }
    },
    decapsulate: (cipherText, secretKey) => {
      abytesDoc(secretKey, secretCoder.bytesLen, "secretKey");
      abytesDoc(cipherText, lengths.cipherText, "cipherText");
      const k768 = secretCoder.bytesLen - 96;
      const start = k768 + 32;
      const test = HASH256(secretKey.subarray(k768 / 2, start));
      if (!equalBytes2(test, secretKey.subarray(start, start + 32)))
        throw new Error("invalid secretKey: hash check failed");
      const [sk, publicKey, publicKeyHash, z] = secretCoder.decode(secretKey);
      const msg = KPKE.decrypt(cipherText, sk);
      const kr = HASH512.create().update(msg).update(publicKeyHash).digest();
      const Khat = kr.subarray(0, 32);
      const cipherText2 = KPKE.encrypt(publicKey, msg, kr.subarray(32, 64));
      const isValid = equalBytes2(cipherText, cipherText2);
      const Kbar = KDF.create({ dkLen: 32 }).update(z).update(cipherText).digest();
      cleanBytes(msg, cipherText2, kr.subarray(32), !isValid ? Khat : Kbar);
      return isValid ? Khat : Kbar;
    },
    /**
     * Experimental prototype: pre-expand a public key so repeated encapsulate/decapsulate
     * against the same key skip re-validation, H(ek), t̂ decoding and the K² SampleNTT
     * XOF expansions of Â. Only public data is cached; see {@link KEMPrepared}.
     */
    prepare: (publicKey) => {
      abytesDoc(publicKey, lengths.publicKey, "publicKey");
      validateModulus(publicKey, "prepare");
      const ek = copyBytes2(publicKey);
      const publicKeyHash = HASH256(ek);
      const cached = KPKE.prepare(ek);
      return Object.freeze({
        publicKey: ek,
        encapsulate: (msg) => {
          const ownMsg = msg === void 0;
          const m = ownMsg ? randomBytes3(msgLen) : msg;
          let kr;
          try {
            abytesDoc(m, msgLen, "message");
            kr = HASH512.create().update(m).update(publicKeyHash).digest();
            const cipherText = cached.encrypt(m, kr.subarray(32, 64));
            return {
              cipherText,
              sharedSecret: kr.subarray(0, 32)
            };
          } finally {
            if (kr !== void 0)
              cleanBytes(kr.subarray(32));
            if (ownMsg)
              cleanBytes(m);
          }
        },
        decapsulate: (cipherText, secretKey) => {
          abytesDoc(secretKey, secretCoder.bytesLen, "secretKey");
          abytesDoc(cipherText, lengths.cipherText, "cipherText");
          const [sk, ekEmbedded, storedHash, z] = secretCoder.decode(secretKey);
          if (!equalBytes2(ekEmbedded, ek) || !equalBytes2(storedHash, publicKeyHash))
            throw new Error("ML-KEM.decapsulate: secretKey does not match prepared publicKey");
          const msg = KPKE.decrypt(cipherText, sk);
          const kr = HASH512.create().update(msg).update(publicKeyHash).digest();
          const Khat = kr.subarray(0, 32);
          const cipherText2 = cached.encrypt(msg, kr.subarray(32, 64));
          const isValid = equalBytes2(cipherText, cipherText2);
          const Kbar = KDF.create({ dkLen: 32 }).update(z).update(cipherText).digest();
          cleanBytes(msg, cipherText2, kr.subarray(32), !isValid ? Khat : Kbar);
          return isValid ? Khat : Kbar;
        },
        clean: cached.clean
      });
    }
  });
}
function shakePRF(dkLen, key, nonce) {
  return shake256.create({ dkLen }).update(key).update(new Uint8Array([nonce])).digest();
}
var opts = /* @__PURE__ */ (() => ({
  HASH256: sha3_256,
  HASH512: sha3_512,
  KDF: shake256,
  XOF: XOF128,
  PRF: shakePRF
}))();
var mk = (params) => createKyber({
  ...opts,
  ...params
});
var ml_kem512 = /* @__PURE__ */ (() => mk(PARAMS[512]))();
var ml_kem768 = /* @__PURE__ */ (() => mk(PARAMS[768]))();
var ml_kem1024 = /* @__PURE__ */ (() => mk(PARAMS[1024]))();

// src/kyber.ts
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
    const seed = randomBytes4(SEED_SIZE);
    if (seed === void 0) return failed(-5 /* entropy_fail */);
    if (this.#keys) wipe(this.#keys.secretKey);
    this.#keys = this.#kem.keygen(seed);
    wipe(seed);
    return { result1: this.#keys.publicKey.slice(), result2: null, status: 0 /* success */ };
  }
  /** `result1`: the secret, 32 bytes; `result2`: the ciphertext that tells it to the owner of the public key. */
  createSecret(publicKey) {
    if (this.#kem === void 0 || this.#info === void 0) return failed(-1 /* invalid_strength */);
    const message = randomBytes4(MESSAGE_SIZE);
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
function randomBytes4(size) {
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
/*! Bundled license information:

@noble/ciphers/utils.js:
  (*! noble-ciphers - MIT License (c) 2023 Paul Miller (paulmillr.com) *)

@noble/curves/utils.js:
  (*! noble-curves - MIT License (c) 2022 Paul Miller (paulmillr.com) *)

@noble/post-quantum/utils.js:
@noble/post-quantum/_crystals.js:
@noble/post-quantum/ml-kem.js:
  (*! noble-post-quantum - MIT License (c) 2024 Paul Miller (paulmillr.com) *)
*/
