import { defineConfig } from 'vitest/config';
import ours from '../../vitest.config.ts';

/** The project of the tests on real engines as it is, for the tests that fail on purpose. */
const host = ours.test?.projects?.map((project) => (typeof project === 'object' && 'test' in project ? project.test : undefined)).find((test) => test?.name === 'host');

export default defineConfig({ root: new URL('../..', import.meta.url).pathname, test: { ...host, include: ['test/e2e/failing.ts'] } });
