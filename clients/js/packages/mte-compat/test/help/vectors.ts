/** The codec's test vectors (docs/codec.md, section 9). */

import text from "../../../../../../crates/mte-codec/vectors/v1.json?raw";
import type { Vectors } from "./hex.js";

export { hex, unhex, type Vectors } from "./hex.js";

export const vectors = JSON.parse(text) as Vectors;
