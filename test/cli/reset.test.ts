import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Host } from '../hostsim/host.ts';
import type { SimProcess } from '../hostsim/processes.ts';
import type { GpuctlResult } from '../hostsim/gpuctl-call.ts';
import { useEngine } from './fake-engine.ts';
import { actionsIn, asUser, eventsOf, GPUCTL, reportIn, useHost } from './workbench.ts';

const SETTINGS = { computeMode: 'Exclusive_Process', powerLimitW: 250, persistence: true };

/** A host with one GPU that asks for a reset, and a service that has its node open. */
interface Bench {
  readonly host: Host;
  readonly unit: string;
  readonly isActive: () => boolean;
  /** Starts the process of the service anew, as its unit would. */
  readonly serve: () => Promise<SimProcess>;
  /** What systemctl was asked for; the questions about its state left out. */
  readonly asked: () => readonly string[];
  /** From now on this verb leaves a mark, and then takes a while. */
  readonly slow: (verb: 'start' | 'stop') => () => boolean;
}

async function useBench(): Promise<Bench> {
  const host = useHost({ gpus: [{ recovery: 'Reset', ...SETTINGS }], driver: '590.48.01', deviceNodes: true });
  const unit = `monitor-${process.pid}-${process.hrtime.bigint()}.service`;
  host.configure({ engine: { host: `unix://${(await useEngine(host)).socketPath}` }, reset: { pause_services: [unit] } });
  const at = (name: string): string => join(host.dir, name);
  const serve = async (): Promise<SimProcess> => {
    const daemon = await host.holdNode(0, { name: 'monitor', cgroup: `system.slice/${unit}` });
    writeFileSync(at('daemon.pid'), String(daemon.pid));
    writeFileSync(at('active'), '');
    return daemon;
  };
  await serve();
  writeFileSync(at('bin/systemctl'), `#!/bin/sh
cd '${host.dir}'
[ "$1" = show ] || echo "$*" >> systemctl.calls
case "$1" in
show) if [ -e active ]; then echo ActiveState=active; else echo ActiveState=inactive; fi; echo LoadState=loaded; exit 0 ;;
stop|start)
  if [ -e "slow.$1" ]; then rm "slow.$1"; touch "begun.$1"; sleep 2; fi
  [ "$1" = start ] && { touch active; exit 0; }
  kill "$(cat daemon.pid)"; while kill -0 "$(cat daemon.pid)" 2>/dev/null && [ "$(cut -d' ' -f3 "/proc/$(cat daemon.pid)/stat")" != Z ]; do sleep 0.01; done
  rm -f active ;;
esac
`);
  chmodSync(at('bin/systemctl'), 0o755);
  return {
    host, unit, serve,
    isActive: () => existsSync(at('active')),
    asked: () => (existsSync(at('systemctl.calls')) ? readFileSync(at('systemctl.calls'), 'utf8').trim().split('\n').map((line) => line.replace(unit, 'UNIT')) : []),
    slow: (verb) => { writeFileSync(at(`slow.${verb}`), ''); return () => existsSync(at(`begun.${verb}`)); },
  };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(10);
}

async function killWhen(host: Host, condition: () => boolean): Promise<void> {
  const gpuctl = host.startGpuctl(['reset', '0', '--yes']);
  let ended = false;
  const done = gpuctl.done.then((result) => { ended = true; return result; });
  await until(() => condition() || ended);
  gpuctl.child.kill('SIGKILL');
  expect(await done).toMatchObject({ signal: 'SIGKILL' });
}

function inLedger<T>({ stateDir }: Host, work: (db: DatabaseSync) => T): T {
  const db = new DatabaseSync(join(stateDir, 'ledger.db'), { timeout: 5000 });
  try {
    return work(db);
  } finally {
    db.close();
  }
}

function recovered(result: GpuctlResult): readonly string[] {
  return eventsOf(result.events, 'pass.recovered').map((event) => String(event['message']));
}

describe('gpuctl reset', () => {
  it('asks for --yes where nobody sees the plan, shows it with --dry-run, does it with --yes, and then waits', async () => {
    const { host, isActive, asked } = await useBench();
    expect(await host.gpuctl(['reset', '0'])).toMatchObject({ exitCode: 2, stdout: '', stderr: expect.stringContaining('needs a terminal, or --yes') as string });
    const plan = await host.gpuctl(['reset', '0', '--dry-run']);
    expect(plan).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/would +reset GPU 0 [\s\S]*the reset stops it and starts it again/) as string });
    expect([asked(), host.world().resets, isActive()]).toEqual([[], [], true]);
    const done = await host.gpuctl(['reset', '0', '--yes', '--json']);
    expect({ exit: done.exitCode, outcomes: reportIn(done).outcomes }).toMatchObject({ exit: 0, outcomes: [{ result: 'done', detail: 'it came back as it was' }] });
    expect(asked()).toEqual(['stop -- UNIT', 'start -- UNIT']);
    expect(host.gpu(0)).toMatchObject({ ...SETTINGS, recovery: 'None' });
    expect(isActive()).toBe(true);
    const again = await host.gpuctl(['reset', '0', '--yes']);
    expect(again).toMatchObject({ exitCode: 1, stdout: expect.stringMatching(/it was reset at .*; way out: wait until/) as string });
    expect(host.world().resets).toHaveLength(1);
  });

  it('refuses a device that does not exist, and all of them', async () => {
    const { host } = await useBench();
    expect(await host.gpuctl(['reset', '7', '--yes'])).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('names no device of this host') as string });
    host.updateWorld((world) => { const [gpu] = world.gpus; if (gpu !== undefined) world.gpus.push({ ...gpu, index: 1, minor: gpu.minor + 100, uuid: gpu.uuid.replace(/.$/, 'e'), busId: '00000000:77:00.0', holders: [] }); });
    expect(await host.gpuctl(['reset', 'all', '--yes'])).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('exactly one GPU') as string });
    expect(host.world().resets).toEqual([]);
  });

  it('killed while a service stops, while the GPU is reset, or while the service starts: the next pass puts everything back', async () => {
    const bench = await useBench();
    const { host } = bench;
    await killWhen(host, bench.slow('stop'));
    await until(() => !bench.isActive());
    const afterStop = await host.gpuctl(['health-check', '--repair']);
    expect(recovered(afterStop).join()).toContain('cut off at the step stop-service');
    expect([bench.isActive(), host.world().resets]).toEqual([true, []]);

    inLedger(host, (db) => { db.exec('UPDATE reset_runs SET begun_at = begun_at - 86400000'); });
    await bench.serve();
    const resetting = join(host.dir, 'resetting');
    const smi = readFileSync(host.smiPath, 'utf8');
    writeFileSync(host.smiPath, smi.replace('\n', `\n[ "$1" = -r ] && touch '${resetting}' && sleep 1\n`));
    await killWhen(host, () => existsSync(resetting));
    writeFileSync(host.smiPath, smi);
    await until(() => host.world().resets.length === 1 || host.calls('reset').length === 1);
    expect(bench.isActive()).toBe(false);
    const early = await host.gpuctl(['health-check', '--repair', '--json']);
    expect(bench.isActive()).toBe(true);
    expect(reportIn(early).findings.map(({ id }) => id)).toContain('gpu.reset.setting_not_restored');
    expect(host.world().resets.length).toBeLessThanOrEqual(1);
    inLedger(host, (db) => { db.exec('UPDATE reset_steps SET begun_at = begun_at - 600000'); });
    const late = await host.gpuctl(['health-check', '--repair', '--json']);
    expect(host.gpu(0)).toMatchObject(SETTINGS);
    expect(reportIn(late).findings.map(({ id }) => id).filter((id) => id.startsWith('gpu.reset'))).toEqual([]);

    inLedger(host, (db) => { db.exec('DELETE FROM resets; UPDATE reset_runs SET begun_at = begun_at - 86400000'); });
    host.updateGpu(0, (gpu) => { gpu.recovery = 'Reset'; });
    await bench.serve();
    await killWhen(host, bench.slow('start'));
    rmSync(join(host.dir, 'active'), { force: true });
    await host.gpuctl(['release-stale']);
    expect(bench.isActive()).toBe(true);
    expect(host.gpu(0)).toMatchObject({ ...SETTINGS, recovery: 'None' });
    expect(inLedger(host, (db) => db.prepare('SELECT count(*) AS n FROM reset_debts WHERE paid_at IS NULL').get()?.['n'])).toBe(0);
  });
});

describe('quarantine', () => {
  it('keeps a board from free and from resets until root clears it', async () => {
    const { host } = await useBench();
    const { uuid } = host.gpu(0);
    host.fault({ kind: 'refuse-reset', as: 'unknown' });
    host.updateGpu(0, (gpu) => { gpu.architecture = 'Ampere'; });
    const failed = await host.gpuctl(['reset', '0', '--yes']);
    expect(failed.exitCode).toBe(4);
    expect(actionsIn(failed.events)).toContain('gpu.quarantined');
    host.clearFaults();
    host.updateGpu(0, (gpu) => { gpu.recovery = 'None'; });
    expect((await host.gpuctl(['free'])).stdout).toBe('');
    expect((await host.gpuctl(['quarantine', 'list'])).stdout).toMatch(new RegExp(`^${uuid}  in quarantine since .*\n  reset .*: failed`));
    expect((await host.gpuctl(['quarantine', 'list', '--json'])).json).toMatchObject({ schema: 1, devices: [{ uuid, resets: [{ succeeded: false }], owed: [] }] });
    expect(await host.gpuctl(['reset', '0', '--yes'])).toMatchObject({ exitCode: 1, stdout: expect.stringContaining(`gpuctl quarantine clear ${uuid}`) as string });
    expect(await host.gpuctl(['quarantine', 'clear', '9'])).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('is not in quarantine') as string });
    const cleared = await host.gpuctl(['quarantine', 'clear', '0']);
    expect(cleared).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('may be reset again') as string });
    expect(eventsOf(cleared.events, 'gpu.quarantine.cleared')).toMatchObject([{ 'gpu.uuid': uuid }]);
    const told = await host.gpuctl(['quarantine', 'clear', '0', '--events']);
    expect(told.stdout.trim().split('\n').map((line) => JSON.parse(line) as unknown), 'event lines alone').toEqual(told.events);
    expect((await host.gpuctl(['quarantine', 'list'])).stdout).toBe('No device is in quarantine.\n');
  });

  it('is cleared by nobody but root, and its list needs the ledger', async () => {
    const { host } = await useBench();
    await host.gpuctl(['sample']);
    const program = asUser(GPUCTL);
    const list = await host.gpuctl(['quarantine', 'list'], { program });
    const clear = await host.gpuctl(['quarantine', 'clear', '0'], { program });
    expect([list.exitCode, clear.exitCode]).not.toContain(0);
    expect(`${list.stdout}${clear.stdout}`).toBe('');
  });
});
