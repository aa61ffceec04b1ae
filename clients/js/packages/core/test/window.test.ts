import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { DecodeError, Window } from "../src/index.js";

interface WindowVector {
  name: string;
  steps: { first: number; count: number; outcome: string }[];
}

const vectors = new URL("../../../../../crates/mte-codec/vectors/v1.json", import.meta.url);
const { windows } = JSON.parse(readFileSync(vectors, "utf8")) as { windows: WindowVector[] };

describe("a window", () => {
  it.each(windows)("accepts what the vectors say: $name", ({ steps }) => {
    const window = new Window();
    for (const { first, count, outcome } of steps) {
      let got = "taken";
      try {
        window.commit(first, count);
      } catch (error) {
        got = (error as DecodeError).reason;
      }
      expect(got, `${count} from ${first}`).toBe(outcome);
    }
  });

  it("agrees with a set of numbers on random commits", () => {
    let seed = 7;
    const random = (below: number) => {
      seed = (seed * 1103515245 + 12345) % 2 ** 31;
      return Math.floor((seed / 2 ** 31) * below);
    };
    const window = new Window();
    const taken = new Set<number>();
    let highest = -1;
    for (let round = 0; round < 20_000; round++) {
      const number = Math.max(0, highest - 530 + random(random(10) === 0 ? 5000 : 560));
      const takes = number >= highest - 511 && number <= highest + 4096 && !taken.has(number);
      expect(window.refusal(number) === undefined, `${number} after ${highest}`).toBe(takes);
      if (!takes) continue;
      window.commit(number);
      taken.add(number);
      highest = Math.max(highest, number);
      expect(window.highest).toBe(highest);
    }
  });

  it("accepts all numbers of a group or none", () => {
    const window = new Window();
    window.commit(2);
    expect(() => window.commit(1, 3)).toThrow(DecodeError);
    expect(window.refusal(1)).toBeUndefined();
    expect(window.highest).toBe(2);
  });
});
