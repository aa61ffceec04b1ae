/** The context of an exchange: the relay, and one request in flight. */

import type { ClientRules, RequestRules } from "./options.js";
import type { Pool } from "./pair/pool.js";
import type { Outgoing } from "./request/input.js";

/** What all exchanges of one client share. */
export interface Relay {
  /** Origin and path prefix. */
  base: string;
  rules: ClientRules;
  pool: Pool;
  /** Whether a browser can stream uploads to it, if that had to be probed. */
  streams?: Promise<boolean> | undefined;
}

/** One request in flight, with its rules. */
export interface Order {
  /** The number of the exchange in this client. */
  exchange: number;
  outgoing: Outgoing;
  rules: RequestRules;
  redirected: boolean;
}
