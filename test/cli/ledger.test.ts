import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Host } from '../hostsim/host.ts';
import type { SimProcess } from '../hostsim/processes.ts';
import { idOf, useEngine, type FakeEngine } from './fake-engine.ts';
import { actionsIn, eventsOf, GPUCTL, reportIn, useHost } from './workbench.ts';

/** A host with an orphan to be ended, so that a pass that does nothing is seen to do nothing. */
async function useOrphanHost(): Promise<{ host: Host; engine: FakeEngine; orphan: SimProcess }> {
  const host = useHost();
  const engine = await useEngine(host);
  const orphan = await host.process({ cgroup: `docker/${idOf('dead')}` });
  host.listOn(0, orphan);
  return { host, engine, orphan };
}

/** Runs a shell command in gpuctl's own mount namespace first; `$1` is the state folder. */
function after(command: string, { stateDir }: Host): readonly string[] {
  return ['sh', '-c', `(${command}) >/dev/null 2>&1; shift; exec "$@"`, 'sh', stateDir, GPUCTL];
}

describe('a ledger that is damaged', () => {
  it('is set aside whole and told; the pass goes on, and every clock starts afresh in favour of the owner', async () => {
    const { host, engine, orphan } = await useOrphanHost();
    const stopped = idOf('5');
    engine.containers.push({ id: stopped, name: 'weekend-run', state: 'exited', gpus: [host.gpu(1).uuid] });
    const garbage = 'no database at all '.repeat(100);
    writeFileSync(join(host.stateDir, 'ledger.db'), garbage, { mode: 0o600 });
    const result = await host.gpuctl(['release-stale', '--json']);
    expect(result.exitCode).toBe(0);
    const [aside = ''] = readdirSync(host.stateDir).filter((name) => name.includes('.corrupt-'));
    expect(readFileSync(join(host.stateDir, aside), 'utf8')).toBe(garbage);
    expect(eventsOf(result.events, 'ledger.rebuilt')).toMatchObject([{ 'gpuctl.alert': true, 'gpuctl.set_aside': join(host.stateDir, aside) }]);
    // It stopped two days ago, far longer than its hold.
    expect(reportIn(result).decisions.find(({ verb }) => verb === 'release')).toMatchObject({ verdict: 'leave', reason: 'within-hold' });
    expect(orphan.isAlive()).toBe(false);
    const again = await host.gpuctl(['release-stale']);
    expect(eventsOf(again.events, 'ledger.rebuilt')).toEqual([]);
  });
});

const FULL = 'cp -a "$1" "$1.kept"; mount -t tmpfs -o size=256k tmpfs "$1"; cp -a "$1.kept/." "$1"; dd if=/dev/zero of="$1/fill" bs=1k';

describe('a ledger that cannot be written', () => {
  const ways: readonly (readonly [string, string, boolean])[] = [
    ['on a read-only file system', 'mount --bind "$1" "$1"; mount -o remount,ro,bind "$1"', true],
    ['on a read-only file system, where it never was', 'mount --bind "$1" "$1"; mount -o remount,ro,bind "$1"', false],
    ['on a full disk', FULL, true],
    ['on a full disk, where it never was', FULL, false],
  ];
  it.each(ways)('(%s) ends the pass with 3, one line and a hint, before anything is done', async (_, command, existed) => {
    const { host, orphan } = await useOrphanHost();
    host.updateGpu(1, (gpu) => { gpu.repairPending = true; });
    if (existed) await host.gpuctl(['sample']);
    const calls = host.calls().length;
    const result = await host.gpuctl(['release-stale'], { program: after(command, host) });
    expect(result.exitCode).toBe(3);
    expect(result.stderr).toMatch(/^gpuctl: the ledger \S+ cannot be used: [^\n]+\n {2}hint: [^\n]+\n$/);
    expect(result.stdout).toBe('');
    expect([orphan.isAlive(), host.world().resets]).toEqual([true, []]);
    // Nothing was asked either: no observation can lead to an act.
    expect(host.calls()).toHaveLength(calls);
  });

  it('a report is given all the same', async () => {
    const { host } = await useOrphanHost();
    const result = await host.gpuctl(['health-check'], { program: after('mount --bind "$1" "$1"; mount -o remount,ro,bind "$1"', host) });
    expect(result).toMatchObject({ exitCode: 1, stdout: expect.stringContaining('gpu.orphan') as string, stderr: '' });
  });

  it('(it becomes full in the middle) nothing is signalled whose intent could not be written', async () => {
    const { host, orphan } = await useOrphanHost();
    await host.gpuctl(['sample']);
    // The look after the release round is the second one; from then on there is no space.
    const smi = readFileSync(host.smiPath, 'utf8');
    const fill = `[ "$1" = -L ] && echo x >>'${host.dir}/looks' && [ "$(wc -l <'${host.dir}/looks')" -ge 2 ] && dd if=/dev/zero of='${host.stateDir}/fill' bs=1k 2>/dev/null`;
    writeFileSync(host.smiPath, smi.replace('\n', `\n${fill}\n`));
    const result = await host.gpuctl(['release-stale'], { program: after('cp -a "$1" "$1.kept"; mount -t tmpfs -o size=512k tmpfs "$1"; cp -a "$1.kept/." "$1"', host) });
    expect(result.exitCode).toBe(3);
    expect(result.stderr).toContain('the ledger');
    expect(orphan.isAlive()).toBe(true);
  });
});

describe('an events file that cannot be written', () => {
  it('is told once on stderr; the pass goes on and does not exit 0', async () => {
    const { host, orphan } = await useOrphanHost();
    rmSync(host.eventsPath, { force: true });
    const blocked = join(host.dir, 'blocked');
    mkdirSync(blocked);
    host.configure({ engine: { host: `unix://${join(host.dir, 'fake.sock')}` }, events: { file: blocked } });
    const result = await host.gpuctl(['release-stale', '--json']);
    expect(result.stderr.match(/events cannot be written/g)).toHaveLength(1);
    expect(orphan.isAlive()).toBe(false);
    expect(result.exitCode).toBe(1);
    expect(reportIn(result)).toMatchObject({ exit: 1, findings: [{ id: 'events.unwritable' }] });
  });

  it('(its disk becomes full) keeps every line that was whole', async () => {
    const { host, orphan } = await useOrphanHost();
    const logs = join(host.dir, 'logs');
    mkdirSync(logs);
    writeFileSync(`${logs}.before`, '{"n":1}\n'.repeat(425));
    host.configure({ engine: { host: `unix://${join(host.dir, 'fake.sock')}` }, events: { file: join(logs, 'events.jsonl') } });
    // One page, of which 3,400 bytes are used.
    const program = ['sh', '-c', 'logs=$1; shift; mount -t tmpfs -o size=4k tmpfs "$logs"; cp "$logs.before" "$logs/events.jsonl"; "$@"; code=$?; cp "$logs/events.jsonl" "$logs.after"; exit $code', 'sh', logs, GPUCTL];
    const result = await host.gpuctl(['release-stale'], { program });
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toMatch(/^gpuctl: events cannot be written to \S+: .*(?:full|ENOSPC)/);
    expect(orphan.isAlive()).toBe(false);
    const [cut = '', ...whole] = readFileSync(`${logs}.after`, 'utf8').split('\n').slice(425).toReversed();
    expect(whole.map((line) => (JSON.parse(line) as Record<string, unknown>)['event.action'])).toEqual(['pass.started']);
    expect(cut).toMatch(/^\{"@timestamp"/);
  });
});

describe('what the ledger and the lock leave behind', () => {
  it('nobody but root can read the ledger, and users can pass through its folder', async () => {
    const { host } = await useOrphanHost();
    rmSync(host.stateDir, { recursive: true });
    await host.gpuctl(['sample']);
    expect((statSync(join(host.stateDir, 'ledger.db')).mode & 0o777).toString(8)).toBe('600');
    expect((statSync(host.stateDir).mode & 0o777).toString(8)).toBe('755');
    expect(actionsIn(host.events())).toContain('pass.ended');
  });
});
