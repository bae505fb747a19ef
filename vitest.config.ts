import { defineConfig } from 'vitest/config';

/** Two kinds: quick tests, and those on real engines and cgroups, of which three files run at a time: each has engines, sockets, a lock and cgroups of its own, and mostly waits. */
export default defineConfig({
  test: {
    projects: [
      { test: { name: 'quick', include: ['test/{unit,property,hostsim}/**/*.test.ts'], setupFiles: ['test/seed.ts'], testTimeout: 60_000 } },
      { test: { name: 'host', include: ['test/{cli,e2e}/**/*.test.ts'], setupFiles: ['test/e2e/leave-capture.ts'], testTimeout: 120_000, hookTimeout: 60_000, maxWorkers: 3 } },
    ],
  },
});
