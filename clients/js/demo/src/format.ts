/** Readable numbers. */

/** A size: exact if it is small. */
export function size(bytes: number): string {
  if (bytes === 1) return "1 byte";
  if (bytes < 100_000) return `${bytes.toLocaleString("en")} bytes`;
  return `${(bytes / (1 << 20)).toFixed(2)} MiB`;
}

/** A time since the start of a request. */
export function after(milliseconds: number): string {
  if (milliseconds < 9.95) return `+${Math.max(0, milliseconds).toFixed(1)} ms`;
  return milliseconds < 9_950 ? `+${milliseconds.toFixed(0)} ms` : `+${(milliseconds / 1000).toFixed(1)} s`;
}

/** A speed. */
export function rate(bytes: number, milliseconds: number): string {
  return `${(bytes / (1 << 20) / Math.max(milliseconds / 1000, 0.001)).toFixed(0)} MiB/s`;
}

/** The text, truncated to `max` characters. */
export function cut(text: string, max: number): string {
  return text.length > max ? `${text.slice(0, max - 1)}…` : text;
}
