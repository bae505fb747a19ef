import { defineConfig } from 'vitest/config';

/** Two kinds: tests that share nothing run side by side; those on real engines and cgroups one file after the other. */
export default defineConfig({
  test: {
    projects: [
      { test: { name: 'quick', include: ['test/{unit,property,hostsim}/**/*.test.ts'], testTimeout: 60_000 } },
      { test: { name: 'host', include: ['test/{cli,e2e}/**/*.test.ts'], testTimeout: 120_000, hookTimeout: 60_000, fileParallelism: false } },
    ],
  },
});
