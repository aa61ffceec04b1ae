/**
 * X-Wing (X25519 and ML-KEM-768, draft-connolly-cfrg-xwing-kem-06), an entry of its own because it brings elliptic
 * curves along: `createRelayClient({ url, kem: xWing })`.
 *
 * @module @mte-relay/client/x-wing
 */

import { ml_kem768_x25519 } from "@noble/post-quantum/hybrid.js";
import { type Kem, syncKey } from "./crypto/kem.js";

export type { Kem, KemKey } from "./crypto/kem.js";

/** X-Wing: safe as long as one of X25519 and ML-KEM-768 is. */
export const xWing: Kem = {
  name: "x-wing",
  generate: async () => syncKey(ml_kem768_x25519),
};
