import type { OutputFile } from "esbuild";

export function script(): Promise<OutputFile>;
