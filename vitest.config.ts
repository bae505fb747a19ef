import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { defineConfig } from 'vitest/config';

/** They take three quarters of a minute and more, much of it in waiting. */
const LONG = ['package', 'limits', 'schedule-cron', 'engines', 'output', 'faults', 'blind', 'passes', 'sources'];

/** What takes long begins first, then whatever needs a host: nothing is left to run alone at the end. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId, project }: TestSpecification): number => {
      if (project.name !== 'host') return LONG.length + 1;
      const at = LONG.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`));
      return at < 0 ? LONG.length : at;
    };
    // oxlint-disable-next-line unicorn/no-array-sort -- Vitest's, which returns a new list
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}

/** Two kinds: quick tests, and those on real engines and cgroups. Of all, three files run at a time: each of the second kind has engines, sockets, a lock and cgroups of its own, and mostly waits. */
export default defineConfig({
  test: {
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    projects: [
      { test: { name: 'quick', include: ['test/{unit,property,hostsim}/**/*.test.ts'], setupFiles: ['test/seed.ts'], testTimeout: 60_000 } },
      { test: { name: 'host', include: ['test/{cli,e2e}/**/*.test.ts'], setupFiles: ['test/e2e/leave-capture.ts'], testTimeout: 120_000, hookTimeout: 60_000 } },
    ],
  },
});
