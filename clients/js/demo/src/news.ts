/** News from the demo about what its eavesdropper and its upstream see: see crates/mte-demo/src/page/news.rs. */

export type Fields = [name: string, value: string][];

/** A message as it passed the eavesdropper. */
export interface WireMessage {
  kind: "request" | "response";
  message: number;
  answers: number | null;
  start: string;
  headers: Fields;
  head: number;
  length: number;
  hex: string;
  first: number;
  last: number;
  whole: boolean;
  tampered: string | null;
  changed: number | null;
  replayed: { status: number; text: string } | null;
}

/** A body at the upstream. */
export interface Body {
  length: number;
  /** Empty until the body is complete. */
  sha256: string;
  text: string;
}

export type UpstreamNews =
  | {
      kind: "received";
      number: number;
      method: string;
      target: string;
      headers: Fields;
      body: Body;
      whole: boolean;
      at: number;
    }
  | { kind: "answering"; number: number; status: number; type: string; at: number }
  | { kind: "sent"; number: number; text: string; at: number }
  | { kind: "answered"; number: number; body: Body; at: number };

/** Listens until the page is closed; `lost` is called with whether the demo is unreachable. */
export function listen(news: (one: WireMessage | UpstreamNews) => void, lost: (is: boolean) => void): void {
  const source = new EventSource("/watch");
  source.onopen = () => lost(false);
  source.onerror = () => lost(true);
  source.onmessage = ({ data }: MessageEvent<string>) => news(JSON.parse(data));
}

/** Sets what the eavesdropper does with the next message. */
export async function order(name: string): Promise<void> {
  const response = await fetch(`/order?do=${name}`, { method: "POST" });
  if (!response.ok) throw new Error(`the eavesdropper refused the order ${name}`);
}
