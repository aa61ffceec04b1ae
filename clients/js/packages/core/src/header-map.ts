/** The sealed header map: a flat JSON object of strings, one byte per character (docs/protocol.md, section 3). */

import { type Bytes, fromUtf8, utf8 } from "./bytes.js";
import { ProtocolError } from "./errors.js";
import { RESPONSE_HEADERS } from "./response-headers.js";

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** A value without leading and trailing spaces and tabs. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const BINDINGS: ReadonlyMap<string, RegExp> = /* @__PURE__ */ new Map([
  [":method", TOKEN],
  [":authority", /^[!-~]+$/],
  [RESPONSE_HEADERS, /^(?:\*|[!#$%&'+\-.^_`|~0-9a-z]+(?:,[!#$%&'+\-.^_`|~0-9a-z]+)*)$/],
  [":status", /^[1-9][0-9]{2}$/],
  [":request", /^(?:0|[1-9][0-9]{0,19})$/],
]);

/** Writes a map. Names that start with `:` bind values sent in the clear. Throws ProtocolError. */
export function writeHeaderMap(entries: Iterable<readonly [string, string]>): Bytes {
  const members: string[] = [];
  for (const [name, value] of entries) {
    checkName(name.toLowerCase());
    if (!VALUE.test(value))
      throw new ProtocolError(`header ${name} has a character that HTTP does not allow`);
    members.push(`${JSON.stringify(name)}:${JSON.stringify(value)}`);
  }
  return utf8(`{${members.join(",")}}`);
}

/** Reads a map with names in lower case; the last of equal names wins. Throws ProtocolError, which quotes no value. */
export function readHeaderMap(plaintext: Uint8Array): Map<string, string> {
  const map = new Map<string, string>();
  for (const [rawName, rawValue] of members(text(plaintext))) {
    const name = rawName.toLowerCase();
    checkName(name);
    const value = rawValue.replace(/^[ \t]+|[ \t]+$/g, "");
    if (!VALUE.test(value))
      throw new ProtocolError(`the value of ${name} has a character that is not allowed`);
    map.delete(name);
    map.set(name, value);
  }
  for (const [name, value] of map) {
    if (BINDINGS.get(name)?.test(value) === false)
      throw new ProtocolError(`the value of ${name} is malformed`);
  }
  return map;
}

function checkName(name: string): void {
  if (name.startsWith(":") ? !BINDINGS.has(name) : !TOKEN.test(name)) {
    throw new ProtocolError("a name in the header map is not a header name");
  }
}

function text(plaintext: Uint8Array): string {
  try {
    return fromUtf8(plaintext);
  } catch {
    throw new ProtocolError("the header map is not UTF-8");
  }
}

/**
 * The members of a flat JSON object of strings, in order. JSON.parse alone would lose the order of duplicate names, so
 * it only parses the strings.
 */
function* members(json: string): Generator<[string, string]> {
  const refused = () => new ProtocolError("the header map is not a flat JSON object of strings");
  if (/^[ \t\r\n]*\{[ \t\r\n]*\}[ \t\r\n]*$/.test(json)) return;
  const member = /[ \t\r\n]*("(?:[^"\\]|\\.)*")[ \t\r\n]*:[ \t\r\n]*("(?:[^"\\]|\\.)*")[ \t\r\n]*([,}])/y;
  const start = /^[ \t\r\n]*\{/.exec(json);
  if (start === null) throw refused();
  member.lastIndex = start[0].length;
  for (;;) {
    const found = member.exec(json);
    if (found === null) throw refused();
    const end = member.lastIndex;
    try {
      yield [JSON.parse(found[1]!), JSON.parse(found[2]!)];
    } catch (error) {
      throw error instanceof SyntaxError ? refused() : error;
    }
    if (found[3] === "}") {
      if (!/^[ \t\r\n]*$/.test(json.slice(end))) throw refused();
      return;
    }
    member.lastIndex = end;
  }
}
