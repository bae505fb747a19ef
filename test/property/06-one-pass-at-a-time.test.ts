import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { releaseStale } from '../../src/passes/release-stale.ts';
import { runPass } from '../../src/passes/run-pass.ts';
import { createLock } from '../../src/record/lock.ts';
import { runs, type World, world } from './generate.ts';
import { benchOf, passOptions } from './ports.ts';

const folder = mkdtempSync(join(tmpdir(), 'gpuctl-property-'));
afterAll(() => { rmSync(folder, { recursive: true, force: true }); });
let files = 0;

/** One pass under the lock, as the command line runs it. Null: it was not had. */
async function lockedPass(file: string, each: World, inside: { now: number; most: number }): Promise<boolean> {
  const held = await createLock({ file }).acquire();
  if (held === null) return false;
  const enter = (): void => { inside.now += 1; inside.most = Math.max(inside.most, inside.now); };
  enter();
  try {
    const bench = benchOf({ ...each });
    const { observer } = bench.parts;
    // Every question lets the others run: they have all the time that they could want.
    const slow = { ...bench.parts, observer: { ...observer, observe: async () => { await new Promise(setImmediate); return observer.observe(); } } };
    await runPass(slow, passOptions(), releaseStale);
    return true;
  } finally {
    inside.now -= 1;
    held.release();
  }
}

describe('one pass at a time', () => {
  it('of any number that begin together one runs at a time, at least one runs, and the lock is free afterwards', async () => {
    await fc.assert(fc.asyncProperty(fc.array(world, { minLength: 2, maxLength: 5 }), async (worlds) => {
      const file = join(folder, `lock-${files += 1}`);
      const inside = { now: 0, most: 0 };
      const ran = await Promise.all(worlds.map((each) => lockedPass(file, each, inside)));
      expect(inside).toEqual({ now: 0, most: 1 });
      expect(ran).toContain(true);
      expect(await lockedPass(file, worlds[0] as World, inside)).toBe(true);
    }), runs(15));
  });

  it('taking and giving back in any order, at most one holds it, and who lost it once gets it later', async () => {
    await fc.assert(fc.asyncProperty(fc.array(fc.record({ who: fc.nat(2), what: fc.constantFrom('take', 'give') }), { minLength: 2, maxLength: 10 }), async (steps) => {
      const file = join(folder, `lock-${files += 1}`);
      const held = new Map<number, { release(): void }>();
      for (const { who, what } of steps) {
        if (what === 'give') { held.get(who)?.release(); held.delete(who); continue; }
        const got = await createLock({ file }).acquire();
        expect(got !== null).toBe(held.size === 0);
        if (got !== null) held.set(who, got);
      }
      for (const each of held.values()) each.release();
    }), runs(15));
  });
});
