/**
 * Code that both packages share: the formats and rules of docs/codec.md and docs/protocol.md.
 *
 * Nothing here encrypts, generates random numbers, reads a clock or does I/O: each module is a set of pure functions.
 * The packages bundle it; it is not published.
 */

export * from "./base64.js";
export * from "./bytes.js";
export * from "./errors.js";
export * from "./forwarding.js";
export * from "./frames.js";
export * from "./header.js";
export * from "./header-map.js";
export * from "./kems.js";
export * from "./labels.js";
export * from "./names.js";
export * from "./pairing.js";
export * from "./place.js";
export * from "./relay-header.js";
export * from "./response-headers.js";
export * from "./retry.js";
export * from "./tokens.js";
export * from "./window.js";
