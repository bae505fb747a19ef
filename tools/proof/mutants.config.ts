import { defineConfig } from 'vitest/config';

/** The tests that each mutant of the rules and of the acting side is run against: those that need no engine and no root. */
export default defineConfig({
  test: { include: ['test/unit/{decide,act,passes}/**/*.test.ts'], setupFiles: ['test/seed.ts'], testTimeout: 60_000 },
});
