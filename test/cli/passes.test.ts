import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Host } from '../hostsim/host.ts';
import type { SimProcess } from '../hostsim/processes.ts';
import { idOf, useEngine } from './fake-engine.ts';
import { actionsIn, eventsOf, reportIn, useHost } from './workbench.ts';

const ID = idOf('dead');

/** An orphan that only SIGKILL ends, and a grace that outlasts the test unless it says otherwise. */
async function useStubbornHost(grace = '30s'): Promise<{ host: Host; orphan: SimProcess; engineHost: string }> {
  const host = useHost({ config: { orphans: { term_grace: grace } } });
  const { socketPath } = await useEngine(host);
  const orphan = await host.process({ cgroup: `docker/${ID}`, ignoreTerm: true });
  host.listOn(0, orphan);
  return { host, orphan, engineHost: `unix://${socketPath}` };
}

/** Verb and end of every act in the ledger. */
function acts(host: Host): readonly { readonly verb: string; readonly ended: boolean; readonly result: string | null }[] {
  const file = join(host.stateDir, 'ledger.db');
  if (!existsSync(file)) return [];
  const db = new DatabaseSync(file, { readOnly: true, timeout: 5000 });
  try {
    return db.prepare("SELECT verb, ended_at IS NOT NULL AS ended, result FROM acts ORDER BY number").all().map((row) => ({ verb: String(row['verb']), ended: row['ended'] === 1, result: row['result'] as string | null }));
  } catch {
    // It is just being made.
    return [];
  } finally {
    db.close();
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(10);
}

/** nvidia-smi that takes a while for a reset, and leaves a mark when it begins. */
function makeResetsSlow(host: Host, seconds: number): () => boolean {
  const mark = join(host.dir, 'resetting');
  writeFileSync(host.smiPath, readFileSync(host.smiPath, 'utf8').replace('\n', `\n[ "$1" = -r ] && touch '${mark}' && sleep ${seconds}\n`));
  return () => existsSync(mark);
}

describe('two passes at once', () => {
  it('the second says so and ends with 75, does nothing and asks nobody; a report runs beside them', async () => {
    const { host, orphan } = await useStubbornHost();
    const first = host.startGpuctl(['release-stale']);
    await until(() => acts(host).length === 1);
    const calls = host.calls().length;
    for (const job of ['release-stale', 'run-all', 'sample']) {
      const second = await host.gpuctl([job]);
      expect(second).toMatchObject({ exitCode: 75, stdout: '', stderr: 'gpuctl: another pass holds the lock /run/gpuctl/lock; nothing was done\n' });
      expect(second.events).toMatchObject([{ 'event.action': 'pass.refused', 'event.reason': 'locked' }]);
    }
    expect(host.calls()).toHaveLength(calls);
    expect(await host.gpuctl(['health-check'])).toMatchObject({ exitCode: 1 });
    await orphan.end();
    expect((await first.done).exitCode).toBe(0);
    expect(await host.gpuctl(['release-stale'])).toMatchObject({ exitCode: 0 });
  });

  it('any shell\'s flock holds passes off, and lets them go when it dies', async () => {
    const host = useHost();
    await useEngine(host);
    mkdirSync(join(host.dir, 'run'), { recursive: true });
    const holder = spawn('flock', ['-x', join(host.dir, 'run', 'lock'), 'sh', '-c', 'echo held; exec sleep 100'], { stdio: ['ignore', 'pipe', 'ignore'], detached: true });
    onTestFinished(() => { if (holder.exitCode === null && holder.signalCode === null) process.kill(-(holder.pid ?? 0), 'SIGKILL'); });
    await once(holder.stdout, 'data');
    expect(await host.gpuctl(['release-stale'])).toMatchObject({ exitCode: 75 });
    process.kill(-(holder.pid ?? 0), 'SIGKILL');
    await once(holder, 'close');
    expect(await host.gpuctl(['release-stale'])).toMatchObject({ exitCode: 0 });
  });
});

describe('a sample that takes long', () => {
  it('makes a pass of the schedule wait, nobody else, and the pass begins when it has ended', async () => {
    const host = useHost();
    await useEngine(host);
    const sample = makeSampleHang(host);
    await until(sample.hangs);
    expect(await host.gpuctl(['release-stale'])).toMatchObject({ exitCode: 75 });
    expect(await host.gpuctl(['sample', '--scheduled'])).toMatchObject({ exitCode: 75 });
    const pass = host.startGpuctl(['release-stale', '--scheduled']);
    // It has been refused the lock once, and waits for it.
    await until(() => readdirSync('/proc').some((pid) => isWaitingFlock(pid, pass.pid)));
    sample.goOn();
    expect([(await sample.done).exitCode, (await pass.done).exitCode]).toEqual([0, 0]);
    expect(host.events().filter((event) => /^pass\.(?:started|ended)$/.test(String(event['event.action']))).map((event) => event['gpuctl.job'])).toEqual(['sample', 'sample', 'release-stale', 'release-stale']);
  });
});

/** A sample whose nvidia-smi answers only after `goOn`. */
function makeSampleHang(host: Host): { readonly done: ReturnType<Host['gpuctl']>; hangs(): boolean; goOn(): void } {
  const [mark, go] = [join(host.dir, 'asked'), join(host.dir, 'go')];
  writeFileSync(host.smiPath, readFileSync(host.smiPath, 'utf8').replace('\n', `\ntouch '${mark}'; while [ ! -e '${go}' ]; do sleep 0.05; done\n`));
  return { done: host.gpuctl(['sample', '--scheduled']), hangs: () => existsSync(mark), goOn: () => { writeFileSync(go, ''); } };
}

/** A flock(1) of that process which was told to wait. */
function isWaitingFlock(pid: string, parent: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('/usr/bin/flock\0-w\0') && readFileSync(`/proc/${pid}/stat`, 'utf8').includes(`) S ${parent} `);
  } catch {
    return false;
  }
}

describe('a pass that is killed', () => {
  it('(during the grace of a kill) leaves the act in the ledger; the next pass names it and ends the orphan', async () => {
    const { host, orphan, engineHost } = await useStubbornHost();
    const running = host.startGpuctl(['release-stale']);
    await until(() => acts(host).length === 1);
    process.kill(running.pid, 'SIGKILL');
    expect(await running.done).toMatchObject({ signal: 'SIGKILL' });
    expect([orphan.isAlive(), acts(host)]).toEqual([true, [{ verb: 'kill', ended: false, result: null }]]);
    host.configure({ engine: { host: engineHost }, orphans: { term_grace: '1s' } });
    const next = await host.gpuctl(['release-stale']);
    expect(next.exitCode).toBe(0);
    expect(eventsOf(next.events, 'pass.recovered')).toMatchObject([{ 'gpuctl.alert': true, 'gpuctl.acts': [{ verb: 'kill', target: { pid: orphan.pid, container_id: ID } }] }]);
    expect(orphan.isAlive()).toBe(false);
    expect(actionsIn((await host.gpuctl(['release-stale'])).events)).not.toContain('pass.recovered');
  });

  it('(during a reset) counts as a reset that was tried: the next pass names it and waits for the cool-down', async () => {
    const host = useHost({ gpus: [{ recovery: 'Reset' }], driver: '590.48.01' });
    await useEngine(host);
    host.fault({ kind: 'refuse-reset', as: 'unknown' });
    const began = makeResetsSlow(host, 1);
    const running = host.startGpuctl(['release-stale']);
    await until(began);
    process.kill(running.pid, 'SIGKILL');
    await running.done;
    await until(() => host.calls('reset').length === 1);
    host.clearFaults();
    const next = await host.gpuctl(['release-stale', '--json']);
    expect(eventsOf(next.events, 'pass.recovered')).toMatchObject([{ 'gpuctl.acts': [{ verb: 'reset', target: { uuid: host.gpu(0).uuid } }] }, { 'gpuctl.resets': [{ gpu: host.gpu(0).uuid, steps: [{ kind: 'reset' }] }] }]);
    expect(reportIn(next).decisions.find(({ verb }) => verb === 'reset')).toMatchObject({ verdict: 'refuse', evidence: { blockers: [{ kind: 'cool-down' }] } });
    expect(host.world().resets).toEqual([]);
  });

  it('(during a reset that goes on by itself) finds the GPU clean afterwards and does nothing more', async () => {
    const host = useHost({ gpus: [{ recovery: 'Reset' }], driver: '590.48.01' });
    await useEngine(host);
    const began = makeResetsSlow(host, 1);
    const running = host.startGpuctl(['release-stale']);
    await until(began);
    process.kill(running.pid, 'SIGKILL');
    await running.done;
    await until(() => host.world().resets.length === 1);
    const next = await host.gpuctl(['release-stale']);
    expect(next.exitCode).toBe(0);
    expect(actionsIn(next.events)).toContain('pass.recovered');
    expect(host.world().resets).toHaveLength(1);
  });
});

describe('a pass that is asked to end', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('(by %s, during the grace of a kill) sends no further signal, writes how it ended, and dies of the signal', async (signal) => {
    const { host, orphan } = await useStubbornHost('1s');
    const running = host.startGpuctl(['release-stale']);
    await until(() => acts(host).length === 1);
    process.kill(running.pid, signal);
    const result = await running.done;
    expect(result).toMatchObject({ exitCode: null, signal });
    // Closed cleanly: nothing is left of the ledger's log.
    expect(existsSync(join(host.stateDir, 'ledger.db-wal'))).toBe(false);
    expect([orphan.isAlive(), acts(host)]).toEqual([true, [{ verb: 'kill', ended: true, result: 'refused' }]]);
    expect(eventsOf(result.events, 'pass.ended')).toHaveLength(1);
    expect(actionsIn((await host.gpuctl(['release-stale'])).events)).not.toContain('pass.recovered');
  });

  it('(during a reset) lets the reset end, verifies it and begins no other', async () => {
    const host = useHost({ gpus: [{ recovery: 'Reset' }, { recovery: 'Reset' }], driver: '590.48.01' });
    await useEngine(host);
    const began = makeResetsSlow(host, 1);
    const running = host.startGpuctl(['release-stale', '--json']);
    await until(began);
    process.kill(running.pid, 'SIGTERM');
    const result = await running.done;
    expect(result).toMatchObject({ exitCode: null, signal: 'SIGTERM' });
    expect(reportIn(result).outcomes).toMatchObject([{ result: 'done' }, { result: 'refused', reason: 'interrupted' }]);
    expect(acts(host)).toEqual([{ verb: 'reset', ended: true, result: 'done' }]);
    expect(host.world().resets.map(({ gpu }) => gpu)).toEqual([host.gpu(0).uuid]);
  });

  it('(before it has begun anything) does nothing at all', async () => {
    const { host, orphan } = await useStubbornHost();
    host.configure({ engine: { host: `unix://${join(host.dir, 'fake.sock')}` }, orphans: { confirm_after: '2s' } });
    const running = host.startGpuctl(['release-stale']);
    await until(() => host.events().some((event) => event['event.action'] === 'pass.started'));
    process.kill(running.pid, 'SIGTERM');
    expect(await running.done).toMatchObject({ signal: 'SIGTERM' });
    expect([orphan.isAlive(), acts(host)]).toEqual([true, []]);
  });
});
