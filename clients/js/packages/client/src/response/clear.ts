/** Responses in the clear: the relay's own errors (docs/protocol.md, section 5). */

import { fromUtf8, RELAY_STATUS_TEXT } from "@mte-relay/core";
import { MteRelayError, refused } from "../errors.js";

/** The maximum bytes read of an error in the clear. */
const MAX_ERROR_BYTES = 64 << 10;

/** The error in a response without sealed headers. Reads the response. */
export async function relayError(response: Response): Promise<MteRelayError> {
  const { status } = response;
  if (status < 400) {
    void response.body?.cancel().catch(() => {});
    return refused("not-sealed", notSealed(response), { status });
  }
  const { error, requestId } = await readError(response);
  const text = error ?? RELAY_STATUS_TEXT[status] ?? (response.statusText || "no reason given");
  return new MteRelayError("relay", `the relay answered ${status}: ${text}`, { status, requestId });
}

/** A small text body. Throws a MteRelayError beyond `limit` bytes. */
export async function readLimited(response: Response, limit: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const piece = await reader?.read();
    if (piece === undefined || piece.done) break;
    length += piece.value.length;
    if (length > limit) {
      void reader?.cancel().catch(() => {});
      throw new MteRelayError("pairing", `the relay's answer has more than ${limit} bytes`);
    }
    chunks.push(piece.value);
  }
  const all = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return fromUtf8(all);
}

function notSealed(response: Response): string {
  const hint =
    response.type === "cors"
      ? "does the relay list this page's origin in cors_origins, and is this the address of a relay?"
      : "is this the address of an MTE relay, and the route encrypted?";
  return `it is not sealed (status ${response.status}); ${hint}`;
}

async function readError(response: Response): Promise<{ error?: string; requestId?: string }> {
  try {
    const body: unknown = JSON.parse(await readLimited(response, MAX_ERROR_BYTES));
    const { error, request_id } = body as { error?: unknown; request_id?: unknown };
    return {
      ...(typeof error === "string" ? { error: printable(error) } : {}),
      ...(typeof request_id === "string" && request_id !== "" ? { requestId: printable(request_id) } : {}),
    };
  } catch {
    // Without a text, it is still an error.
    return {};
  }
}

/** Untrusted text without terminal control characters. */
function printable(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "");
}
