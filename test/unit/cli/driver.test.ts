import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Driver, driverOf, type Gate, gateOf } from '../../../src/cli/driver.ts';
import type { HungSmi } from '../../../src/model/lost.ts';
import { readBootId } from '../../../src/observe/proc/self.ts';
import { readState } from '../../../src/observe/proc/state.ts';

/** An nvidia-smi that is this shell script, every call that it got, and the pids that were told to have hung. */
function useSmi(script: string): { readonly path: string; readonly driver: Driver; readonly calls: () => readonly string[]; readonly hung: readonly (number | null)[] } {
  const folder = mkdtempSync(join(tmpdir(), 'gpuctl-driver-'));
  onTestFinished(() => { rmSync(folder, { recursive: true }); });
  const path = join(folder, 'nvidia-smi');
  writeFileSync(path, `#!/bin/sh\necho "$*" >> '${folder}/calls'\n${script}\n`);
  chmodSync(path, 0o755);
  const hung: (number | null)[] = [];
  const gate: Gate = { check: async () => null, onHung: (pid) => { hung.push(pid); }, busIds: () => [] };
  return {
    path, hung, driver: driverOf({ smi: { path, timeoutMs: 300 }, gate, inventory: () => [] }),
    calls: () => (existsSync(join(folder, 'calls')) ? readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n') : []),
  };
}

describe('an nvidia-smi that was to change a device', () => {
  it('and outlives SIGKILL is remembered, and neither asked nor called any more', async () => {
    // As one that the kernel keeps: somebody still has its output open.
    const { path, driver, calls, hung } = useSmi('sleep 3 & wait');
    expect(await driver.call({ file: path, args: ['-r', '-i', '0000'], timeoutMs: 200 })).toMatchObject({ problem: 'hung' });
    expect(hung).toEqual([expect.any(Number)]);
    expect(await driver.observeDriver()).toMatchObject({ state: 'failed', code: 'hung' });
    expect(await driver.call({ file: path, args: ['-pm', '1'], timeoutMs: 200 })).toMatchObject({ exitCode: null, problem: 'timeout' });
    expect(calls()).toEqual(['-r -i 0000']);
    expect(await driver.call({ file: 'true', args: [], timeoutMs: 5000 })).toMatchObject({ exitCode: 0, problem: null });
  });

  it('and did is not', async () => {
    const { path, driver, calls, hung } = useSmi('exit 4');
    expect(await driver.call({ file: path, args: ['-r'], timeoutMs: 5000 })).toMatchObject({ exitCode: 4, problem: null });
    await driver.observeDriver();
    expect(hung).toEqual([]);
    expect(calls().length).toBeGreaterThan(1);
  });
});

describe('the latch', () => {
  it('is probed once its process has ended, even where nobody has waited for it', async () => {
    const { path, calls } = useSmi('exit 0');
    const parent = spawn('sh', ['-c', 'exec 3<&0; cat <&3 & echo $!; exec sleep 30'], { stdio: ['pipe', 'pipe', 'ignore'] });
    onTestFinished(() => { parent.kill('SIGKILL'); });
    const [printed] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(printed.toString());
    // A shell would wait for its child; what it becomes does not.
    await expect.poll(() => readFileSync(`/proc/${parent.pid}/comm`, 'utf8')).toBe('sleep\n');
    parent.stdin.end();
    await expect.poll(() => stateOf(pid)?.runState).toBe('Z');
    let hung: HungSmi | null = { since: 1, bootId: readBootId() ?? '', pid, startTicks: stateOf(pid)?.startTicks ?? null };
    const gate = gateOf({ smi: { path, timeoutMs: 5000 }, now: () => 2, hung: () => hung, set: null, lift: () => { hung = null; } });
    expect(await gate.check()).toBeNull();
    expect([hung, calls()]).toEqual([null, ['-L']]);
  });
});

function stateOf(pid: number): Exclude<ReturnType<typeof readState>, 'unreadable'> {
  const state = readState(pid);
  if (state === 'unreadable') throw new Error(`/proc/${pid}/stat is unreadable`);
  return state;
}
