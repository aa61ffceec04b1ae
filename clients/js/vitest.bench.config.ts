import { defineConfig } from "vitest/config";

/** Measurements in a Chromium: see vitest.browser.config.ts. */
export default defineConfig({
  test: {
    include: ["packages/*/bench/**/*.bench.test.ts"],
    testTimeout: 600_000,
    hookTimeout: 60_000,
    fileParallelism: false,
  },
});
