/**
 * `MteStatus`: the outcome of an operation. Names that callers and published documents of the closed module use are
 * kept; the numbers are this package's own, except for 0 and 10.
 */
export enum MteStatus {
  mte_status_success = 0,
  /** Never returned. */
  mte_status_cancelled = 1,
  /** Not possible in this state, or not supported by this class. */
  mte_status_unsupported = 2,
  /** No entropy was set, or the platform has no secure random numbers. */
  mte_status_drbg_catastrophic = 3,
  /** The direction's 2^32 numbers are used up: create a new pair. */
  mte_status_drbg_seedlife_reached = 4,
  mte_status_entropy_too_short = 5,
  mte_status_entropy_too_long = 6,
  mte_status_nonce_invalid = 7,
  mte_status_personalization_too_long = 8,
  mte_status_uninstantiated = 9,
  /** Never returned: there is no license. */
  mte_status_license_error = 10,
  /** Input of the wrong type, empty, or not base64. */
  mte_status_invalid_input = 11,
  /** Not a saved state of this side, or a corrupt one. */
  mte_status_state_invalid = 12,
  /** Not authentic: from another pair, changed in transit, or not a message. */
  mte_status_token_does_not_exist = 13,
  mte_status_seq_outside_window = 14,
  mte_status_seq_replayed = 15,
  /** Of the other encode type, or in the wrong place of its response. */
  mte_status_out_of_place = 16,
  /** The message ends before its last frame. */
  mte_status_incomplete = 17,
  /** An internal error. */
  mte_status_internal_error = 18,
}

const DESCRIPTIONS: Readonly<Record<MteStatus, string>> = {
  [MteStatus.mte_status_success]: "Success",
  [MteStatus.mte_status_cancelled]: "The operation was cancelled",
  [MteStatus.mte_status_unsupported]: "The operation is not possible now, or not with this class",
  [MteStatus.mte_status_drbg_catastrophic]:
    "No entropy is set, or there is no secure source of random numbers",
  [MteStatus.mte_status_drbg_seedlife_reached]:
    "All numbers of this direction are used up: create a new pair",
  [MteStatus.mte_status_entropy_too_short]: "The entropy has fewer than 32 bytes",
  [MteStatus.mte_status_entropy_too_long]: "The entropy has more than 32 bytes",
  [MteStatus.mte_status_nonce_invalid]: "The nonce is not set, or not a decimal number from 0 to 2^64 - 1",
  [MteStatus.mte_status_personalization_too_long]: "The personalization string has more than 65,535 bytes",
  [MteStatus.mte_status_uninstantiated]: "Neither instantiate nor restoreState was called",
  [MteStatus.mte_status_license_error]: "License error",
  [MteStatus.mte_status_invalid_input]: "The input is empty, of the wrong type, or not base64",
  [MteStatus.mte_status_state_invalid]: "The saved state is corrupt, or of another side or version",
  [MteStatus.mte_status_token_does_not_exist]: "The message is not authentic",
  [MteStatus.mte_status_seq_outside_window]: "The message's number is too old or too far ahead",
  [MteStatus.mte_status_seq_replayed]: "The message was decoded before",
  [MteStatus.mte_status_out_of_place]: "The message has another type or is in the wrong place",
  [MteStatus.mte_status_incomplete]: "The message is not complete",
  [MteStatus.mte_status_internal_error]: "Internal error",
};

/** The name of a status, such as `mte_status_success`. */
export function statusName(status: MteStatus): string {
  return MteStatus[status] ?? `mte_status_unknown_${status}`;
}

/** A readable description of a status. */
export function statusDescription(status: MteStatus): string {
  return DESCRIPTIONS[status] ?? `Unknown status ${status}`;
}
