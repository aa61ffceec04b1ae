/**
 * X-Wing (X25519 and ML-KEM-768, draft-connolly-cfrg-xwing-kem-06), a separate entry point because it adds
 * elliptic curves to the bundle: `createRelayClient({ url, kem: xWing })`.
 *
 * @module @mte-relay/client/x-wing
 */

import { ml_kem768_x25519 } from "@noble/post-quantum/hybrid.js";
import { type Kem, syncKey } from "./crypto/kem.js";

export type { Kem, KemKey } from "./crypto/kem.js";

/** X-Wing: secure as long as at least one of X25519 and ML-KEM-768 is. */
export const xWing: Kem = {
  name: "x-wing",
  generate: async () => syncKey(ml_kem768_x25519),
};
