/**
 * `MteStatus`: what an operation came to. Names that callers and published documents of the closed module use are
 * kept; the numbers are this package's own, but for 0 and 10.
 */
declare enum MteStatus {
    mte_status_success = 0,
    /** Never given. */
    mte_status_cancelled = 1,
    /** Not in this state, or not by this class. */
    mte_status_unsupported = 2,
    /** No entropy was set, or the platform has no secure random numbers. */
    mte_status_drbg_catastrophic = 3,
    /** The direction's 2^32 numbers are used up: pair anew. */
    mte_status_drbg_seedlife_reached = 4,
    mte_status_entropy_too_short = 5,
    mte_status_entropy_too_long = 6,
    mte_status_nonce_invalid = 7,
    mte_status_personalization_too_long = 8,
    mte_status_uninstantiated = 9,
    /** Never given: there is no license. */
    mte_status_license_error = 10,
    /** Input of the wrong kind, no bytes at all, or no base64. */
    mte_status_invalid_input = 11,
    /** Not a saved state of this side, or a damaged one. */
    mte_status_state_invalid = 12,
    /** Not authentic: another pair's, changed on the way, or no message at all. */
    mte_status_token_does_not_exist = 13,
    mte_status_seq_outside_window = 14,
    mte_status_seq_replayed = 15,
    /** Of the other encode type, or not where it belongs in its response. */
    mte_status_out_of_place = 16,
    /** The message ends before its last frame. */
    mte_status_incomplete = 17,
    /** Something that should not happen did. */
    mte_status_internal_error = 18
}

/**
 * Stands where the closed module loads WebAssembly. There is none here: nothing is fetched or compiled, and a content
 * security policy needs no `wasm-unsafe-eval`.
 */
declare class MteWasm {
    /** Non-null once instantiated, and empty. */
    exports: Record<string, unknown> | null;
    /** Non-null once instantiated, and empty. */
    memory: {
        readonly buffer: ArrayBuffer;
    } | null;
    /** Rejects if the platform has no secure source of random numbers. Takes and ignores any arguments. */
    instantiate(..._ignored: readonly unknown[]): Promise<void>;
}

/** What does not depend on a pair. Encoders and decoders are that, too. */
declare class MteBase {
    constructor(wasm?: MteWasm | null);
    /** Always true: there is no license, and both arguments are ignored. */
    initLicense(_company: string, _key: string): boolean;
    getStatusName(status: MteStatus): string;
    getStatusDescription(status: MteStatus): string;
    /** True for everything but success: there are no warnings. */
    statusIsError(status: MteStatus): boolean;
    /** The version of this package. */
    getVersion(): string;
    getDefaultDrbg(): number;
    getDrbg(): number;
    /** 32: entropy must have exactly so many bytes. Where the closed module says 0, it is a trial version. */
    getDrbgsEntropyMinBytes(_drbg?: number): number;
    /** 2^32: how many numbers a direction has. Callers pair anew when the counter comes near it. */
    getDrbgsReseedInterval(_drbg?: number): number;
    /** How many numbers of the direction are used. */
    getReseedCounter(): number;
}

/** What encoders and decoders have in common: from secrets or a saved state to a session, and back. */

declare abstract class MteEndpoint extends MteBase {
    #private;
    /** Sets the 32 bytes that a KEM gave (`MteKyber`), and zeroes the array it is given. */
    setEntropyArr(entropy: Uint8Array): void;
    /** The UTF-8 of the text must have 32 bytes. */
    setEntropyStr(entropy: string): void;
    /** The base64 of 32 bytes. */
    setEntropyB64(entropy: string): void;
    /** A number from 0 to 2^64 - 1: its decimal text, or as `bigint`, or as `number` up to 2^53 - 1. */
    setNonce(nonce: string | number | bigint): void;
    /**
     * Begins with the entropy and nonce that were set, which are forgotten, and a personalization string. A direction
     * that is known already goes on where it is.
     */
    instantiate(personalization?: string): MteStatus;
    /** The state as bytes; `null` if neither `instantiate` nor `restoreState` succeeded before. */
    saveState(): Uint8Array | null;
    /** The state as base64. */
    saveStateB64(): string | null;
    /** Begins with a saved state of either encode type. Numbers that were used since then stay used. */
    restoreState(state: Uint8Array): MteStatus;
    restoreStateB64(state: string): MteStatus;
    /** Forgets pair and secrets; `instantiate` and `restoreState` begin anew. */
    uninstantiate(): MteStatus;
    /** `uninstantiate`, for good. */
    destruct(): void;
    getReseedCounter(): number;
}

/** What encodes and decodes give: bytes or a text, and a status. Callers tell them apart by `"str" in result`. */

declare class MteArrStatus {
    /** `null` unless the status is success. */
    arr: Uint8Array | null;
    status: MteStatus;
    constructor(arr: Uint8Array | null, status: MteStatus);
}
declare class MteStrStatus {
    /** `null` unless the status is success. */
    str: string | null;
    status: MteStatus;
    constructor(str: string | null, status: MteStatus);
}

/** What the two decoder classes have in common. */

declare abstract class MteDecoder extends MteEndpoint {
    #private;
    /**
     * Both windows are checked and have no effect: messages bear no time, and every decoder takes each number once, in
     * any order within docs/codec.md's window. Throws RangeError unless they are integers from 0 and from -63 on.
     */
    constructor(wasm?: MteWasm, tWindow?: WindowSize, sWindow?: WindowSize);
    /** The plaintext of a message that came as bytes. */
    decode(message: Uint8Array): MteArrStatus;
    /** The plaintext of a message that came as base64. */
    decodeB64(message: string): MteArrStatus;
    /** The plaintext as a text; bytes that are no UTF-8 become U+FFFD. */
    decodeStr(message: Uint8Array): MteStrStatus;
    decodeStrB64(message: string): MteStrStatus;
}
/** Clients of version 4 give numbers and texts. */
type WindowSize = number | string | bigint;

/** The decoder classes. Neither is an `instanceof` the other, which callers rely on. */

/** Decodes what `MteEnc` and `MteFlenEnc` encoded. */
declare class MteDec extends MteDecoder {
    readonly encodeType = "MTE";
    static fromdefault(wasm?: MteWasm, tWindow?: WindowSize, sWindow?: WindowSize): MteDec;
}
/** Decodes what `MteMkeEnc` encoded, whole or in chunks. The methods for chunks are bound. */
declare class MteMkeDec extends MteDecoder {
    #private;
    readonly encodeType = "MKE";
    static fromdefault(wasm?: MteWasm, tWindow?: WindowSize, sWindow?: WindowSize): MteMkeDec;
    /** Starts to decode a message that comes in chunks. */
    readonly startDecrypt: () => MteStatus;
    /**
     * What a chunk of any size completes, which may be nothing: an empty array. All of it is authentic. `null` if the
     * message is refused; `finishDecrypt` says why.
     */
    readonly decryptChunk: (chunk: Uint8Array) => Uint8Array | null;
    /** Success only if the message was whole: what `decryptChunk` gave before counts only then. */
    readonly finishDecrypt: () => MteArrStatus;
}

/** What the three encoder classes have in common. */

declare abstract class MteEncoder extends MteEndpoint {
    #private;
    /** A message as bytes: a body. Its plaintext is `data`. */
    encode(data: Uint8Array): MteArrStatus;
    /** A message as bytes. Its plaintext is the UTF-8 of `text`. */
    encodeStr(text: string): MteArrStatus;
    /** A message as base64: a URL or a header map. */
    encodeB64(data: Uint8Array): MteStrStatus;
    encodeStrB64(text: string): MteStrStatus;
}

/** The encoder classes. None is an `instanceof` another, which callers rely on. */

/** Encodes as MTE (docs/codec.md, section 5), for short, highly sensitive data. */
declare class MteEnc extends MteEncoder {
    readonly encodeType = "MTE";
    static fromdefault(wasm?: MteWasm): MteEnc;
}
/**
 * Encodes as MTE what is first brought to a fixed length: longer data is cut, shorter data gets zero bytes at its end,
 * which the decoder does not take away.
 */
declare class MteFlenEnc extends MteEncoder {
    #private;
    readonly encodeType = "FLEN";
    /** `length` in bytes of plaintext. Throws RangeError unless it is a positive integer. */
    constructor(wasm: MteWasm | undefined, length: number);
    static fromdefault(wasm: MteWasm | undefined, length: number | string): MteFlenEnc;
}
/** Encodes as MKE, whole or in chunks. The methods for chunks are bound: they may be passed on alone. */
declare class MteMkeEnc extends MteEncoder {
    #private;
    readonly encodeType = "MKE";
    static fromdefault(wasm?: MteWasm): MteMkeEnc;
    /** -1, the length of no message: some clients take what has this length for an empty body and drop it. */
    readonly encryptFinishBytes: () => number;
    /** Starts a message that is sent while it is made, and takes its number. */
    readonly startEncrypt: () => MteStatus;
    /** The bytes to send for a chunk of any size; `null` if no message was started or the chunk is not bytes. */
    readonly encryptChunk: (chunk: Uint8Array) => Uint8Array | null;
    /** The bytes to send last. Without them the message is no message. */
    readonly finishEncrypt: () => MteArrStatus;
}

/** `MteKyber`: the exchange that a pairing begins with (docs/codec.md, section 2), by ML-KEM (FIPS 203). */

declare enum MteKyberStrength {
    none = 0,
    K512 = 512,
    K768 = 768,
    K1024 = 1024
}
declare enum MteKyberStatus {
    success = 0,
    /** The strength is none of 512, 768 and 1024. */
    invalid_strength = -1,
    /** Not a public key of this strength. */
    invalid_pubkey = -2,
    /** `decryptSecret` before `createKeypair`. */
    invalid_privkey = -3,
    /** Not a ciphertext of this strength. */
    invalid_cipher = -4,
    /** No secure random numbers. */
    entropy_fail = -5,
    /** Never given. */
    memory_fail = -6
}
interface MteKyberResult {
    /** Public key or secret; `null` on failure. */
    result1: Uint8Array | null;
    /** Ciphertext of `createSecret`; `null` else. */
    result2: Uint8Array | null;
    status: MteKyberStatus;
}
/** One end of an exchange. The one that pairs makes a key pair; the other one makes a secret for the public key. */
declare class MteKyber {
    #private;
    constructor(_wasm: MteWasm | null | undefined, strength: MteKyberStrength);
    /** `result1`: the public key. The private one stays inside, until the next call. */
    createKeypair(): MteKyberResult;
    /** `result1`: the secret, 32 bytes; `result2`: the ciphertext that tells it to the owner of the public key. */
    createSecret(publicKey: Uint8Array): MteKyberResult;
    /**
     * `result1`: the secret that `createSecret` of the other end gave. A wrong ciphertext of the right size gives
     * another secret, and shows only when the first message does not decode.
     */
    decryptSecret(ciphertext: Uint8Array): MteKyberResult;
}

export { MteArrStatus, MteBase, MteDec, MteEnc, MteFlenEnc, MteKyber, MteKyberStatus, MteKyberStrength, MteMkeDec, MteMkeEnc, MteStatus, MteStrStatus, MteWasm };
export type { MteKyberResult, WindowSize };
