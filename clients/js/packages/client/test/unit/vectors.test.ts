import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  checkDirection,
  checkFreshKey,
  checkKem,
  checkMessage,
  checkRefused,
  type Vectors,
} from "../support/vectors.js";

const file = new URL("../../../../../../crates/mte-codec/vectors/v1.json", import.meta.url);
const vectors = JSON.parse(readFileSync(file, "utf8")) as Vectors;

describe("the test vectors shared by all implementations", () => {
  it.each(vectors.kem.map((vector) => [vector.id, vector] as const))(
    "KEM %i gives its entropy",
    async (_, vector) => {
      await checkKem(vector);
    },
  );

  it.each(vectors.directions.map((vector, index) => [index, vector] as const))(
    "direction %i has its root and its epochs",
    async (_, vector) => {
      await checkDirection(vector);
    },
  );

  it.each(vectors.messages.map((vector, index) => [index, vector] as const))(
    "message %i opens, whole and in chunks, and can be reproduced",
    async (_, vector) => {
      await checkMessage(vectors, vector);
    },
  );

  it.each(vectors.refused.map((vector, index) => [index, vector.class, vector.reason, vector] as const))(
    "message %i is refused as %s: %s",
    async (_index, _class, _reason, vector) => {
      await checkRefused(vectors, vector);
    },
  );

  it("are complete", () => {
    expect(vectors.kem.length).toBe(4);
    expect(vectors.messages.length).toBeGreaterThan(5);
    expect(vectors.refused.length).toBeGreaterThan(10);
  });
});

describe("a fresh key", () => {
  it.each(["ml-kem-512", "ml-kem-768", "ml-kem-1024"] as const)("of %s decapsulates", async (name) => {
    await checkFreshKey(name);
  });
});
