import { defineConfig } from 'vitest/config';

/** The tests over generated hosts, for as long as they take: they are multiplied by PROPERTY_RUNS. */
export default defineConfig({
  root: new URL('../..', import.meta.url).pathname,
  test: { include: ['test/property/**/*.test.ts'], setupFiles: ['test/seed.ts'], testTimeout: 3_600_000, hookTimeout: 60_000, bail: 0 },
});
