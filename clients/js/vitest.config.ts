import { defineConfig } from "vitest/config";

/** Tests that run in Node; for those in a browser see vitest.browser.config.ts. */
export default defineConfig({
  test: {
    include: ["packages/*/test/**/*.test.ts", "demo/test/**/*.test.ts"],
    exclude: ["**/browser/**", "**/node_modules/**"],
    testTimeout: 20_000,
  },
});
