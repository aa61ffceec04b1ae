import { describe, expect, it } from "vitest";
import {
  controlClientId,
  DecodeError,
  FrameReader,
  formatRelayHeader,
  frameHead,
  fromBase64,
  HEADER_SIZE,
  isNeverForwarded,
  kemInfoOf,
  MKE,
  MTE,
  makeHeader,
  makeTokens,
  messageLength,
  type PairRequest,
  ProtocolError,
  parseRelayHeader,
  placeFits,
  readHeaderMap,
  readPairAnswers,
  readTokens,
  toBase64,
  toPathSegment,
  utf8,
  writeHeaderMap,
} from "../src/index.js";

describe("base64", () => {
  it("reads back what it writes, of any length", () => {
    for (const length of [0, 1, 2, 3, 4, 63, 64, 8191, 8192, 8193, 50_000]) {
      const bytes = Uint8Array.from({ length }, (_, at) => (at * 7 + length) & 255);
      expect(fromBase64(toBase64(bytes))).toEqual(bytes);
    }
  });

  it.each(["A", "AA", "AAA", "AB==", "AAB=", "AA==AA==", "AA=A", "A-_=", " AAAA", "AA\nAA", "====", "AAAA="])(
    "refuses %j",
    (text) => {
      expect(() => fromBase64(text)).toThrow(DecodeError);
    },
  );

  it("escapes characters with a meaning in a path", () => {
    expect(toPathSegment(Uint8Array.of(0xfb, 0xff, 0xfe, 0xff))).toBe("%2B%2F%2F%2B%2Fw%3D%3D");
  });
});

describe("a sealed header map", () => {
  const read = (json: string) => [...readHeaderMap(utf8(json))];

  it("has names in lower case, and the last of equal names", () => {
    expect(read(' {"X-B":"2","a":"1" , "A":"2","a":" 3\\t"} ')).toEqual([
      ["x-b", "2"],
      ["a", "3"],
    ]);
    expect(read("{}")).toEqual([]);
  });

  it("has one byte per character", () => {
    expect(read('{"a":"ÿ\\u00e9"}')).toEqual([["a", "ÿé"]]);
    expect(() => read('{"a":"\\u0100"}')).toThrow(ProtocolError);
  });

  it.each([
    "[]",
    "",
    "{",
    '{"a":1}',
    '{"a":"b"}x',
    '{"a":"b",}',
    '{"a":{"b":"c"}}',
    '{"a":"b" "c":"d"}',
    '{"a":"\\x"}',
    '{"a b":""}',
    '{"":""}',
    '{":path":"/"}',
    '{":":""}',
    '{"a":"x\\ny"}',
    '{"a":"\\u007f"}',
    '{"a":"\\n","a":"ok"}',
    '{":status":"0200"}',
    '{":request":"01"}',
    '{":method":""}',
    '{":response-headers":""}',
    '{":response-headers":"ETag"}',
    '{":response-headers":"etag,"}',
    '{":response-headers":"*,etag"}',
  ])("refuses %j", (json) => {
    expect(() => read(json)).toThrow(ProtocolError);
  });

  it("is read back as it was written, even for names with a special meaning in objects", () => {
    const entries: [string, string][] = [
      [":method", "GET"],
      [":response-headers", "etag,x-total"],
      ["__proto__", "x"],
      ["accept", 'a"\\b\té'],
    ];
    expect([...readHeaderMap(writeHeaderMap(entries))]).toEqual(entries);
    expect(() => writeHeaderMap([["a", "x\r\ny"]])).toThrow(ProtocolError);
  });
});

describe("the x-mte-relay header", () => {
  it("is read back as it was written", () => {
    const value = "id.sig,pair+/=,0,1,1,0,1";
    expect(formatRelayHeader(parseRelayHeader(value)!)).toBe(value);
    expect(parseRelayHeader("c,p,00,true,1,0")).toMatchObject({
      encodeType: "MKE",
      urlEncoded: false,
      headersEncoded: true,
    });
    for (const bad of ["", "c", "c,p,1,1,1", "c,,1,1,1,1", "c,p,1,1,1,1,0,0"]) {
      expect(parseRelayHeader(bad), bad).toBeUndefined();
    }
  });

  it("gives a client id from the value alone or from a list", () => {
    expect(controlClientId(" abc ")).toBe("abc");
    expect(controlClientId("abc,,1,0")).toBe("abc");
    for (const none of [null, "", "null", "a b", "é"]) expect(controlClientId(none)).toBeUndefined();
  });
});

describe("a frame reader", () => {
  const message = new Uint8Array([
    ...makeHeader(MKE, 0, 5, new Uint8Array(16)).bytes,
    ...frameHead(3, false),
    ...new Uint8Array(3 + 16).fill(1),
    ...frameHead(0, true),
    ...new Uint8Array(16).fill(2),
  ]);

  it("splits a message into the same frames wherever the input is cut", () => {
    for (let cut = 0; cut <= message.length; cut++) {
      const reader = new FrameReader();
      const lengths: number[] = [];
      for (const piece of [message.slice(0, cut), message.slice(cut)]) {
        reader.push(piece);
        for (let frame = reader.next(); frame; frame = reader.next()) lengths.push(frame.sealed.length);
      }
      reader.end();
      expect(reader.header()?.number).toBe(5);
      expect(lengths).toEqual([19, 16]);
    }
  });

  it("knows that a message without its final frame is not whole", () => {
    const reader = new FrameReader();
    reader.push(message.slice(0, -1));
    while (reader.next()) {}
    expect(() => reader.end()).toThrow("no final frame");
  });

  it("refuses frames that are too long, empty ones in the middle, and what follows the last", () => {
    const header = message.slice(0, HEADER_SIZE);
    for (const rest of [frameHead(65_537, true), frameHead(0, false)]) {
      const reader = new FrameReader();
      reader.push(new Uint8Array([...header, ...rest]));
      expect(() => reader.next()).toThrow(DecodeError);
    }
    const reader = new FrameReader();
    reader.push(new Uint8Array([...message, 0]));
    reader.next();
    expect(() => reader.next()).toThrow("after the final frame");
  });
});

describe("tokens", () => {
  it("hide the length in steps of 64 and are read back", () => {
    for (const length of [0, 1, 59, 60, 61, 124, 1000]) {
      const plaintext = new Uint8Array(length).fill(0xa5);
      const padded = Math.ceil((4 + length) / 64) * 64;
      const tokens = makeTokens(plaintext, new Uint8Array(padded).fill(9));
      expect(tokens.length).toBe(2 * padded);
      expect(messageLength(MTE, length)).toBe(26 + 20 + 2 * padded);
      expect(readTokens(tokens)).toEqual(plaintext);
      tokens[tokens.length - 2]! ^= length === 60 || length === 124 ? 0 : 1;
      if (length !== 60 && length !== 124) expect(() => readTokens(tokens)).toThrow(DecodeError);
    }
    expect(() => readTokens(new Uint8Array(0))).toThrow(DecodeError);
    expect(() => readTokens(new Uint8Array(130))).toThrow(DecodeError);
  });
});

describe("the answer to a pairing", () => {
  const asked: PairRequest[] = [
    {
      pairId: "p",
      encoderKey: new Uint8Array(),
      encoderPersonalization: "e",
      decoderKey: new Uint8Array(),
      decoderPersonalization: "d",
    },
  ];
  const kem = kemInfoOf("ml-kem-512");
  const secret = toBase64(new Uint8Array(768));
  const row = {
    pairId: "p",
    encoderNonce: "0",
    encoderSecret: secret,
    decoderNonce: "9223372036854775807",
    decoderSecret: secret,
  };

  it("has the nonce and ciphertext of each direction", () => {
    const [answer] = readPairAnswers(JSON.stringify([row]), asked, kem);
    expect(answer?.encoder.nonce).toBe(row.decoderNonce);
    expect(answer?.decoder.nonce).toBe("0");
  });

  it.each([
    ["another pair", { pairId: "q" }, "pair 0 is not the one asked for"],
    [
      "a nonce that is too big",
      { encoderNonce: "9223372036854775808" },
      "encoderNonce of pair 0 is not a decimal",
    ],
    ["a nonce with a leading zero", { encoderNonce: "01" }, "encoderNonce"],
    ["a nonce that is a number", { decoderNonce: 1 }, "decoderNonce of pair 0 is not a string"],
    [
      "a ciphertext of another size",
      { decoderSecret: "AAAA" },
      "has 3 bytes, a ciphertext of ml-kem-512 has 768",
    ],
    ["something that is not base64", { encoderSecret: "*" }, "encoderSecret of pair 0 is not base64"],
  ])("is refused with %s", (_, change, message) => {
    expect(() => readPairAnswers(JSON.stringify([{ ...row, ...change }]), asked, kem)).toThrow(message);
  });

  it("is refused with more or fewer pairs, or as anything but a JSON array", () => {
    for (const json of ["[]", JSON.stringify([row, row]), "{}", "x", "[null]"]) {
      expect(() => readPairAnswers(json, asked, kem)).toThrow(ProtocolError);
    }
  });
});

describe("rules", () => {
  it("allow a place to say 15 for what follows, and nothing else", () => {
    expect(placeFits(0x02, 0x02) && placeFits(0x0f, 0x02)).toBe(true);
    expect(placeFits(0x01, 0x02) || placeFits(0x8f, 0x02) || placeFits(0x1f, 0x02)).toBe(false);
  });

  it("name the headers that are never forwarded", () => {
    for (const name of [
      "connection",
      "host",
      "content-length",
      "x-mte-relay",
      "x-mte-outbound-token",
      ":method",
    ]) {
      expect(isNeverForwarded(name), name).toBe(true);
    }
    expect(isNeverForwarded("authorization")).toBe(false);
  });
});
