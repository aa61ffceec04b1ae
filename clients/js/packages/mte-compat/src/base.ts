import { ENTROPY_SIZE, NUMBER_LIMIT } from "@mte-relay/core";
import { MteStatus, statusDescription, statusName } from "./status.js";
import { VERSION } from "./version.js";
import type { MteWasm } from "./wasm.js";

/** There is one key schedule (docs/codec.md, section 3); this is what callers know it by. */
const DRBG = 1;

/** What does not depend on a pair. Encoders and decoders are that, too. */
export class MteBase {
  /** @internal */
  protected readonly wasm: MteWasm | null;

  constructor(wasm?: MteWasm | null) {
    this.wasm = wasm ?? null;
  }

  /** Always true: there is no license, and both arguments are ignored. */
  initLicense(_company: string, _key: string): boolean {
    return true;
  }

  getStatusName(status: MteStatus): string {
    return statusName(status);
  }

  getStatusDescription(status: MteStatus): string {
    return statusDescription(status);
  }

  /** True for everything but success: there are no warnings. */
  statusIsError(status: MteStatus): boolean {
    return status !== MteStatus.mte_status_success;
  }

  /** The version of this package. */
  getVersion(): string {
    return VERSION;
  }

  getDefaultDrbg(): number {
    return DRBG;
  }

  getDrbg(): number {
    return DRBG;
  }

  /** 32: entropy must have exactly so many bytes. Where the closed module says 0, it is a trial version. */
  getDrbgsEntropyMinBytes(_drbg?: number): number {
    return ENTROPY_SIZE;
  }

  /** 2^32: how many numbers a direction has. Callers pair anew when the counter comes near it. */
  getDrbgsReseedInterval(_drbg?: number): number {
    return NUMBER_LIMIT;
  }

  /** How many numbers of the direction are used. */
  getReseedCounter(): number {
    return 0;
  }
}
