import fc from 'fast-check';
import { afterAll } from 'vitest';
import { writeCounts } from './tally.ts';

/**
 * What fails, fails every time: generated tests take the same cases in every run. PROPERTY_SEED=random takes new ones (the
 * long runs do), PROPERTY_SEED=<number> those of a run that told its seed.
 */
const wish = process.env['PROPERTY_SEED'] ?? '20261122';
if (wish !== 'random') {
  const seed = Number(wish);
  if (!Number.isInteger(seed)) throw new Error(`PROPERTY_SEED: expected "random" or a whole number; this is ${JSON.stringify(wish)}`);
  fc.configureGlobal({ ...fc.readConfigureGlobal(), seed });
}

afterAll(writeCounts);
