import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { DAY, endure, type Endured } from './endurance.ts';

const DAYS = 1;

async function oneDay(form: 'daemon' | 'cron'): Promise<Endured> {
  const dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'gpuctl-endurance-'));
  onTestFinished(() => { rmSync(dir, { recursive: true }); });
  return endure({ form, days: DAYS, dir, rotateEveryMs: DAY / 4 });
}

// The long form, of ninety days, is `npm run proof:endurance`.
describe.each(['daemon', 'cron'] as const)('a day of fifty containers that come and go, by %s', (form) => {
  it('loses no pass and no line, and every pass begins in its minute', async () => {
    const lived = await oneDay(form);
    expect(lived).toMatchObject({ due: DAYS * 24 * 16, ran: DAYS * 24 * 16, skipped: [], unended: 0, torn: 0, rotations: 3 });
    expect(lived.latestMs).toBeLessThan(1000);
    expect(lived.found).toBe(lived.written);
    expect(lived.done).toMatchObject({ 'pass.started': lived.ran, 'pass.ended': lived.ran });
    // Else nothing happened.
    expect(lived.containers).toBeGreaterThan(80);
    for (const action of ['gpu.allocation.observed', 'gpu.allocation.released', 'gpu.orphan.ended', 'container.idle.warned', 'container.idle.final', 'container.idle.stopped', 'container.removed']) expect(Object.keys(lived.done)).toContain(action);
  }, 180_000);
});
