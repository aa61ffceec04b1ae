import { ENTROPY_SIZE, NUMBER_LIMIT } from "@mte-relay/core";
import { MteStatus, statusDescription, statusName } from "./status.js";
import { VERSION } from "./version.js";
import type { MteWasm } from "./wasm.js";

/** The name for callers of the only key schedule (docs/codec.md, section 3). */
const DRBG = 1;

/** Functions that do not depend on a pair. Encoders and decoders extend this class. */
export class MteBase {
  /** @internal */
  protected readonly wasm: MteWasm | null;

  constructor(wasm?: MteWasm | null) {
    this.wasm = wasm ?? null;
  }

  /** Always true: no license is needed, and both arguments are ignored. */
  initLicense(_company: string, _key: string): boolean {
    return true;
  }

  getStatusName(status: MteStatus): string {
    return statusName(status);
  }

  getStatusDescription(status: MteStatus): string {
    return statusDescription(status);
  }

  /** True for every status except success: there are no warnings. */
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

  /** 32: entropy must have exactly this many bytes. The closed module returns 0 in its trial version. */
  getDrbgsEntropyMinBytes(_drbg?: number): number {
    return ENTROPY_SIZE;
  }

  /** 2^32: how many numbers a direction has. Callers create a new pair when the counter gets close to it. */
  getDrbgsReseedInterval(_drbg?: number): number {
    return NUMBER_LIMIT;
  }

  /** How many numbers of the direction are used. */
  getReseedCounter(): number {
    return 0;
  }
}
