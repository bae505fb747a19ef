import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createResetHelper } from '../../../src/act/services.ts';
import { runChild } from '../../../src/callout/child.ts';
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
    expect(await useHelper('exit 1').helper.serviceState('x.service')).toBe('unknown');
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
  });

  it('that does not stop in time, or not at all, is a failure that says why', async () => {
    expect(await useHelper('exec sleep 30', 200).helper.stopService('a.service')).toMatchObject({ result: 'failed', detail: expect.stringContaining('timeout') as string });
    expect(await useHelper('echo no such unit >&2; exit 5').helper.stopService('a.service')).toEqual({ result: 'failed', detail: 'exit 5: no such unit' });
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
    expect(await useHelper('exit 1').helper.dependents('a.service')).toBeNull();
    expect(await useHelper('for last; do :; done; echo "Id=$last"; echo ActiveState=active; echo "RequiredBy=x$last"').helper.dependents('a.service')).toBeNull();
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
