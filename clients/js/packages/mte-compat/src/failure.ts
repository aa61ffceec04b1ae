/** Maps internal exceptions to the status that callers get. Callers never see an exception. */

import { DecodeError, type DecodeReason } from "@mte-relay/core";
import { NumbersUsedUp } from "./state/encoder-direction.js";
import { MteStatus } from "./status.js";

/** An operation that failed, with its status. */
export class Failure extends Error {
  readonly status: MteStatus;

  constructor(status: MteStatus) {
    super(MteStatus[status]);
    this.name = "Failure";
    this.status = status;
  }
}

const DECODE_STATUS: Readonly<Record<DecodeReason, MteStatus>> = {
  malformed: MteStatus.mte_status_token_does_not_exist,
  "not authentic": MteStatus.mte_status_token_does_not_exist,
  trailing: MteStatus.mte_status_token_does_not_exist,
  "too long": MteStatus.mte_status_invalid_input,
  "out of place": MteStatus.mte_status_out_of_place,
  "not consecutive": MteStatus.mte_status_out_of_place,
  truncated: MteStatus.mte_status_incomplete,
  replayed: MteStatus.mte_status_seq_replayed,
  "out of window": MteStatus.mte_status_seq_outside_window,
  exhausted: MteStatus.mte_status_seq_outside_window,
};

/** The status of any exception. */
export function statusOf(error: unknown): MteStatus {
  if (error instanceof Failure) return error.status;
  if (error instanceof DecodeError) return DECODE_STATUS[error.reason];
  if (error instanceof NumbersUsedUp) return MteStatus.mte_status_drbg_seedlife_reached;
  return MteStatus.mte_status_internal_error;
}
