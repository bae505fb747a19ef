import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createResetHelper } from '../../../src/act/services.ts';
import { type ChildResult, runChild } from '../../../src/callout/child.ts';
import type { BoardDebt } from '../../../src/model/reset.ts';
import type { ResetHelper } from '../../../src/passes/ports.ts';

const TARGET = { kind: 'gpu', uuid: 'GPU-0', pciBusId: '00000000:10:00.0', index: 0 } as const;

/** systemctl and nvidia-smi as one shell script each, and every call that they got. */
function useHelper(script: string, changeMs = 5000): { readonly helper: ResetHelper; readonly calls: () => string } {
  const folder = mkdtempSync(join(tmpdir(), 'gpuctl-act-'));
  onTestFinished(() => { rmSync(folder, { recursive: true }); });
  for (const name of ['systemctl', 'nvidia-smi']) {
    writeFileSync(join(folder, name), `#!/bin/sh\necho "${name} $*" >> '${folder}/calls'\n${script}\n`);
    chmodSync(join(folder, name), 0o755);
  }
  const helper = createResetHelper({ nvidiaSmi: { path: join(folder, 'nvidia-smi'), timeoutMs: 5000 }, changeMs, run: (call) => runChild({ ...call, file: join(folder, call.file.replace(/^.*\//, '')) }) });
  return { helper, calls: () => (existsSync(join(folder, 'calls')) ? readFileSync(join(folder, 'calls'), 'utf8') : '') };
}

/** Both programs end so, whatever they are asked. */
function endingAs(result: Partial<ChildResult>): ResetHelper {
  return createResetHelper({ nvidiaSmi: { path: 'nvidia-smi', timeoutMs: 5000 }, run: async () => ({ stdout: '', stderr: '', exitCode: 0, problem: null, ...result }) });
}

describe('a service', () => {
  it.each([
    ['active', 'active'], ['reloading', 'active'], ['inactive', 'inactive'], ['failed', 'inactive'], ['activating', 'unsettled'], ['deactivating', 'unsettled'], ['dreaming', 'unknown'],
  ])('that systemd calls %s is %s', async (word, state) => {
    const { helper, calls } = useHelper(`echo LoadState=loaded; echo ActiveState=${word}`);
    expect(await helper.serviceState('dcgm.service')).toBe(state);
    expect(calls()).toBe('systemctl show --property=LoadState --property=ActiveState --property=CanStart -- dcgm.service\n');
  });

  it('that systemd does not know is absent; where it does not answer, nothing is known', async () => {
    expect(await useHelper('echo LoadState=not-found; echo ActiveState=inactive').helper.serviceState('x.service')).toBe('absent');
    const stdout = 'LoadState=loaded\nActiveState=active\n';
    expect(await endingAs({ stdout }).serviceState('x.service')).toBe('active');
    expect(await endingAs({ stdout, exitCode: 1 }).serviceState('x.service')).toBe('unknown');
    expect(await endingAs({ stdout, problem: 'timeout' }).serviceState('x.service')).toBe('unknown');
    expect(await endingAs({ stdout: '' }).serviceState('x.service')).toBe('unknown');
  });

  it('that is masked and at rest is inactive; one that is masked and was started runs', async () => {
    const masked = (state: string): ResetHelper => endingAs({ stdout: `LoadState=masked\nActiveState=${state}\n` });
    expect(await masked('inactive').serviceState('a.service')).toBe('inactive');
    expect(await masked('active').startService('a.service')).toMatchObject({ result: 'done' });
  });

  it('is stopped and started by its name, which is never taken for an option', async () => {
    const { helper, calls } = useHelper('echo LoadState=loaded; echo ActiveState=active');
    expect([await helper.stopService('a.service'), await helper.startService('a.service')]).toMatchObject([{ result: 'done' }, { result: 'done' }]);
    expect(calls().split('\n').slice(0, 2)).toEqual(['systemctl stop -- a.service', 'systemctl start -- a.service']);
  });

  it.each([['LoadState=masked', 'CanStart=no'], ['LoadState=loaded', 'CanStart=no'], ['LoadState=bad-setting', 'CanStart=yes']])('that runs but could not be started once it is stopped is no active one (%s, %s)', async (load, can) => {
    expect(await useHelper(`echo ${load}; echo ActiveState=active; echo ${can}`).helper.serviceState('a.service')).toBe('not-startable');
  });

  it.each([['inactive', 'its condition was not met'], ['failed', 'it ended at once'], ['activating', 'systemd starts it again and again']])('is started only when it runs: %s, since %s', async (word) => {
    expect(await useHelper(`echo LoadState=loaded; echo ActiveState=${word}`).helper.startService('a.service')).toMatchObject({ result: 'failed', detail: expect.stringContaining('systemd calls it') as string });
    expect(await useHelper('[ "$1" = start ]').helper.startService('a.service')).toMatchObject({ result: 'failed' });
    expect(await useHelper('echo Job failed. >&2; exit 1').helper.startService('a.service')).toEqual({ result: 'failed', detail: 'exit 1: Job failed.' });
  });

  it('that does not stop in time, or not at all, is a failure that says why', async () => {
    expect(await useHelper('exec sleep 30', 200).helper.stopService('a.service')).toMatchObject({ result: 'failed', detail: expect.stringContaining('timeout') as string });
    expect(await useHelper('echo no such unit >&2; exit 5').helper.stopService('a.service')).toEqual({ result: 'failed', detail: 'exit 5: no such unit' });
    expect(await endingAs({ stdout: ' one\n\n two', stderr: 'three\n', exitCode: 5 }).stopService('a.service')).toEqual({ result: 'failed', detail: 'exit 5: one two three' });
    expect(await endingAs({ problem: 'timeout' }).stopService('a.service'), 'it ended as it was killed').toEqual({ result: 'failed', detail: 'timeout: ' });
    expect(await endingAs({ stdout: 'x'.repeat(400) }).stopService('a.service')).toEqual({ result: 'done', detail: 'x'.repeat(300) });
  });
});

describe('what a stop takes along', () => {
  const units = (...blocks: readonly string[]): string => `for unit in "$@"; do case $unit in\n${blocks.join('\n')}\nesac; done`;
  const unit = (name: string, state: string, ...lines: readonly string[]): string => `${name}) printf '%s\\n' Id=${name} ActiveState=${state} ${lines.map((line) => `'${line}'`).join(' ')} ''; ;;`;

  it('are the units that run and need it, by whichever word and through however many others', async () => {
    const { helper, calls } = useHelper(units(
      unit('a.service', 'active', 'RequiredBy=b.service c.service', 'ConsistsOf=d.socket'), unit('b.service', 'inactive', 'BoundBy=e.service'), unit('c.service', 'failed'),
      unit('d.socket', 'active', 'RequiredBy=a.service'), unit('e.service', 'reloading', 'PropagatesStopTo=')));
    expect(await helper.dependents('a.service')).toEqual(['d.socket', 'e.service']);
    expect(calls().split('\n')).toContainEqual(expect.stringMatching(/^systemctl show --property=Id .*-- b\.service c\.service d\.socket$/));
  });

  it('are none where it stands alone, and not known where systemd does not say or they are without end', async () => {
    expect(await useHelper(units(unit('a.service', 'active', 'RequiredBy='))).helper.dependents('a.service')).toEqual([]);
    const alone = 'Id=a.service\nActiveState=active\nRequiredBy=\n';
    expect(await endingAs({ stdout: alone }).dependents('a.service')).toEqual([]);
    expect(await endingAs({ stdout: alone, exitCode: 1 }).dependents('a.service')).toBeNull();
    expect(await endingAs({ stdout: alone, problem: 'timeout' }).dependents('a.service')).toBeNull();
    expect(await useHelper('for last; do :; done; echo "Id=$last"; echo ActiveState=active; echo "RequiredBy=x$last"').helper.dependents('a.service')).toBeNull();
  });

  /** systemd with these units, all of which run: the name of each, and what requires it. Of one it tells the name alone. */
  function running(requiredBy: Readonly<Record<string, readonly string[]>>): ResetHelper {
    const show = (name: string): string => name === 'silent' ? `Id=${name}\n` : `Id=${name}\nActiveState=active\nRequiredBy=${(requiredBy[name] ?? []).join(' ')}\n`;
    return createResetHelper({ nvidiaSmi: { path: 'nvidia-smi', timeoutMs: 5000 }, run: async ({ args }) => ({ stdout: args.slice(args.indexOf('--') + 1).map(show).join('\n'), stderr: '', exitCode: 0, problem: null }) });
  }

  it('are not known where systemd is silent about one of them, and one without a name counts', async () => {
    const first = 'Id=a.service\nActiveState=active\nRequiredBy=b.service';
    const second = (stdout: string): ResetHelper => {
      const answers = [first, stdout];
      return createResetHelper({ nvidiaSmi: { path: 'nvidia-smi', timeoutMs: 5000 }, run: async () => ({ stdout: answers.shift() ?? '', stderr: '', exitCode: 0, problem: null }) });
    };
    const silentAboutOne = running({ a: ['b', 'silent'] });
    expect(await endingAs({ stdout: '' }).dependents('a.service')).toBeNull();
    expect(await second('').dependents('a.service')).toBeNull();
    expect(await second('Id=b.service\n').dependents('a.service')).toBeNull();
    expect(await second(`${first}\n\n${first}\n`).dependents('a.service')).toBeNull();
    expect(await silentAboutOne.dependents('a')).toBeNull();
    expect(await second('ActiveState=active\n').dependents('a.service')).toEqual(['a unit without a name']);
  });

  it('are each counted once where they need one another', async () => {
    expect(await running({ a: ['b'], b: ['c'], c: ['b', 'a'] }).dependents('a')).toEqual(['b', 'c']);
  });

  it('are followed through seven others and up to sixty-three in all, and beyond that are not known', async () => {
    const chain = (length: number): ResetHelper => running(Object.fromEntries(Array.from({ length }, (_, n) => [`u${n}`, [`u${n + 1}`]])));
    expect((await chain(7).dependents('u0'))?.length).toBe(7);
    expect(await chain(8).dependents('u0')).toBeNull();
    const fan = (width: number): ResetHelper => running({ a: Array.from({ length: width }, (_, n) => `u${n}`) });
    expect((await fan(63).dependents('a'))?.length).toBe(63);
    expect(await fan(64).dependents('a')).toBeNull();
  });
});

describe('a setting', () => {
  it.each<[BoardDebt, string]>([
    [{ kind: 'persistence', on: true }, '-pm 1'], [{ kind: 'persistence', on: false }, '-pm 0'], [{ kind: 'compute-mode', mode: 'Exclusive_Process' }, '-c 3'],
    [{ kind: 'compute-mode', mode: 'Default' }, '-c 0'], [{ kind: 'power-limit', watts: 275.5 }, '-pl 275.5'],
  ])('%o is put back on this GPU alone', async (debt, args) => {
    const { helper, calls } = useHelper('exit 0');
    expect(await helper.restore(TARGET, debt)).toMatchObject({ result: 'done' });
    expect(calls()).toBe(`nvidia-smi ${args} -i 00000000:10:00.0\n`);
  });

  it.each<BoardDebt>([{ kind: 'ecc-mode', on: true }, { kind: 'mig-layout', uuids: [] }, { kind: 'compute-mode', mode: '-r' }])('%o is left to an admin', async (debt) => {
    const { helper, calls } = useHelper('exit 0');
    expect(await helper.restore(TARGET, debt)).toBeNull();
    expect(calls()).toBe('');
  });
});
