/** What an exchange is about: the relay, and one request on its way. */

import type { ClientRules, RequestRules } from "./options.js";
import type { Pool } from "./pair/pool.js";
import type { Outgoing } from "./request/input.js";

/** What exchanges of one client share. */
export interface Relay {
  /** Origin and path prefix. */
  base: string;
  rules: ClientRules;
  pool: Pool;
  /** Whether a browser streams uploads to it, where that had to be tried. */
  streams?: Promise<boolean> | undefined;
}

/** One request on its way, with its rules. */
export interface Order {
  /** Which of the client's exchanges. */
  exchange: number;
  outgoing: Outgoing;
  rules: RequestRules;
  redirected: boolean;
}
