import { defineConfig } from "vitest/config";

/** Tests in Chromium: CHROMIUM_BIN, or /usr/bin/chromium. */
export default defineConfig({
  test: {
    include: ["packages/*/test/browser/**/*.test.ts", "demo/test/browser/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    fileParallelism: false,
  },
});
