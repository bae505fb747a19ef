import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Check } from '../../src/decide/doctor.ts';
import { renderCronFile } from '../../src/schedule/cron-file.ts';
import { defaultConfig } from '../../src/config/defaults.ts';
import type { GpuctlOptions, GpuctlResult } from '../hostsim/gpuctl-call.ts';
import type { Host } from '../hostsim/host.ts';
import { useEngine, type FakeEngine } from './fake-engine.ts';
import { GPUCTL, gpuctlAsUser, ON_TERMINAL, treeHash, useHost } from './workbench.ts';

vi.setConfig({ testTimeout: 60_000 });

/** A host on which nothing is amiss: its folders stand in for the places below /etc where a schedule and a rotation are looked for. */
async function useGoodHost(): Promise<{ readonly host: Host; readonly engine: FakeEngine; readonly doctor: (args?: readonly string[], options?: GpuctlOptions) => Promise<GpuctlResult> }> {
  const host = useHost({ gpus: [{ persistence: true }] });
  const engine = await useEngine(host);
  for (const place of ['cron.d', 'logrotate.d', 'systemd', 'spool']) mkdirSync(join(host.dir, place));
  writeFileSync(join(host.dir, 'cron.d', 'gpuctl'), renderCronFile(defaultConfig().schedule));
  writeFileSync(join(host.dir, 'logrotate.d', 'gpuctl'), `${join(host.dir, '*.jsonl')} {\n\tweekly\n}\n`);
  const places = [['cron.d', '/etc/cron.d'], ['logrotate.d', '/etc/logrotate.d'], ['systemd', '/etc/systemd/system'], ['spool', '/var/spool/cron']];
  const binds = places.map(([from, to]) => `mkdir -p ${to} && mount --bind ${join(host.dir, from ?? '')} ${to}`).join(' && ');
  const program = ['sh', '-c', `${binds} && exec "$@"`, 'sh', GPUCTL];
  return { host, engine, doctor: (args = [], options = {}) => host.gpuctl(['doctor', ...args], { program, ...options }) };
}

const checksIn = ({ json, stdout, stderr }: GpuctlResult): readonly Check[] => {
  expect(json, `not one JSON document: ${stdout}${stderr}`).toBeTypeOf('object');
  return (json as { checks: readonly Check[] }).checks;
};
const bad = (result: GpuctlResult): readonly (readonly string[])[] => checksIn(result).filter((each) => each.verdict !== 'ok').map(({ id, verdict }) => [id, verdict]);

describe('gpuctl doctor', () => {
  it('finds nothing on a good host, exits 0, and changes nothing at all', async () => {
    const { host, doctor } = await useGoodHost();
    await doctor();
    host.makeSmiInstant();
    const before = treeHash(host.stateDir);
    const result = await doctor(['--json']);
    expect({ bad: bad(result), exit: result.exitCode, stderr: result.stderr }).toEqual({ bad: [], exit: 0, stderr: '' });
    expect(treeHash(host.stateDir)).toBe(before);
    expect(host.events()).toEqual([]);
  });

  it('shows each check in a line, the remedy below what needs one, and a sum', async () => {
    const { host, doctor } = await useGoodHost();
    rmSync(join(host.dir, 'logrotate.d', 'gpuctl'));
    const { stdout, exitCode } = await doctor();
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/^ok {7}nvidia-smi +answers; driver [\d.]+, 1 GPU$/m);
    expect(stdout).toMatch(/^warning {2}logrotate .*\n +→ write one/m);
    expect(stdout).toMatch(/\ngpuctl can work on this host: 0 failures, 1 warning\n$/);
  });

  type Good = Awaited<ReturnType<typeof useGoodHost>>;
  const cases: readonly (readonly [what: string, exit: number, found: readonly (readonly string[])[], (good: Good) => void])[] = [
    ['nvidia-smi is not installed', 3, [['nvidia-smi', 'failure'], ['persistence', 'warning']], ({ host }) => { host.removeSmi(); }],
    ['nvidia-smi has no driver', 3, [['nvidia-smi', 'failure'], ['persistence', 'warning']], ({ host }) => { host.fault({ kind: 'exit', code: 9 }); }],
    ['nvidia-smi is cut in the middle', 3, [['nvidia-smi', 'failure'], ['persistence', 'warning']], ({ host }) => { host.fault({ kind: 'truncate', bytes: 3000, on: ['xml'] }); }],
    ['the engine answers with errors', 3, [['engine', 'failure']], ({ engine }) => { engine.mood = 'error'; }],
    ['the engine hangs', 3, [['engine', 'failure']], ({ engine }) => { engine.mood = 'hung'; }],
    ['the socket of the engine is missing', 3, [['engine', 'failure']], ({ host }) => { host.configure({ engine: { host: 'unix:///nowhere/engine.sock' } }); }],
    ['the engine is podman', 1, [['engine', 'warning']], ({ engine }) => { engine.podman = true; }],
    ['the lock is a link', 3, [['lock', 'failure']], ({ host }) => { symlinkSync('/dev/null', join(host.dir, 'run', 'lock')); }],
    ['the ledger is damaged', 3, [['ledger', 'failure']], ({ host }) => { writeFileSync(join(host.stateDir, 'ledger.db'), 'no database'.repeat(500)); }],
    ['the events file is a folder', 3, [['events', 'failure']], ({ host }) => { host.configure({ engine: { host: `unix://${join(host.dir, 'fake.sock')}` }, events: { file: join(host.dir, 'state') } }); }],
    ['nothing is scheduled', 1, [['schedule', 'warning']], ({ host }) => { rmSync(join(host.dir, 'cron.d', 'gpuctl')); }],
  ];
  it.each(cases)('%s: exit %d, and that is what it tells', async (_, exit, found, arrange) => {
    const good = await useGoodHost();
    arrange(good);
    const result = await good.doctor(['--json']);
    const others = found.some(([id]) => id === 'events') ? ['logrotate'] : [];
    expect(bad(result).filter(([id = '']) => !others.includes(id))).toEqual(found);
    expect(result.exitCode).toBe(exit);
  });

  it('tells that a pass holds the lock, and which process, without disturbing it', async () => {
    const { host, doctor } = await useGoodHost();
    const lock = join(host.dir, 'run', 'lock');
    writeFileSync(lock, '', { mode: 0o600 });
    const holder = spawn('flock', ['-x', lock, 'sh', '-c', 'echo held; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'], detached: true });
    onTestFinished(() => { process.kill(-(holder.pid ?? 0), 'SIGKILL'); });
    await new Promise((resolve) => { holder.stdout.once('data', resolve); });
    const result = await doctor(['--json']);
    expect(result.exitCode).toBe(0);
    expect(checksIn(result).find(({ id }) => id === 'lock')?.message).toContain(`pid ${holder.pid}`);
  });

  it('says to somebody without root that this is what is missing', async () => {
    const { host } = await useGoodHost();
    chmodSync(host.configPath, 0o644);
    const result = await host.gpuctl(['doctor', '--json'], { program: gpuctlAsUser(host) });
    expect(result.exitCode).toBe(3);
    expect(bad(result)).toContainEqual(['rights', 'failure']);
  });
});

describe('gpuctl doctor --accept-engine', () => {
  /** The ledger has learned one engine, and now another one answers. */
  async function useReplacedEngine(): Promise<Awaited<ReturnType<typeof useGoodHost>>> {
    const good = await useGoodHost();
    expect(await good.host.gpuctl(['sample'])).toMatchObject({ exitCode: 0 });
    good.engine.id = 'CCCC:DDDD';
    return good;
  }

  it('is what doctor names as the remedy for another engine, and it is one', async () => {
    const { doctor } = await useReplacedEngine();
    const before = await doctor(['--json']);
    expect(bad(before)).toEqual([['engine', 'failure']]);
    expect(checksIn(before).find(({ id }) => id === 'engine')?.remedy).toContain('gpuctl doctor --accept-engine');
    expect(await doctor(['--accept-engine', '--yes'])).toMatchObject({ exitCode: 0, stderr: 'gpuctl: accepted: CCCC:DDDD is the engine of this host from now on\n' });
    expect(bad(await doctor(['--json']))).toEqual([]);
  });

  it('is for root alone', async () => {
    const { host, doctor } = await useReplacedEngine();
    chmodSync(host.configPath, 0o644);
    expect(await host.gpuctl(['doctor', '--accept-engine', '--yes'], { program: gpuctlAsUser(host) })).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('only root may accept an engine') as string });
    expect(bad(await doctor(['--json']))).toEqual([['engine', 'failure']]);
  });

  it('needs a terminal or --yes', async () => {
    const { doctor } = await useReplacedEngine();
    expect(await doctor(['--accept-engine'])).toMatchObject({ exitCode: 2 });
    expect(bad(await doctor(['--json']))).toEqual([['engine', 'failure']]);
  });

  it.each([['n', 'nothing was changed', [['engine', 'failure']]], ['y', 'accepted: CCCC:DDDD', []]] as const)('asks on a terminal; the answer %s counts', async (answer, said, after) => {
    const { host, doctor } = await useReplacedEngine();
    const { stdout } = await host.gpuctl(['doctor', '--accept-engine'], { program: ON_TERMINAL, stdin: `${answer}\n` });
    expect(stdout).toMatch(/The ledger knows the engine AAAA:BBBB; now CCCC:DDDD answers/);
    expect(stdout).toContain(said);
    expect(bad(await doctor(['--json']))).toEqual(after);
  });

  it('takes Docker for another engine where the ledger was begun under podman, until an admin accepts it, and tells that', async () => {
    const { host, engine, doctor } = await useGoodHost();
    engine.podman = true;
    expect((await host.gpuctl(['sample'])).exitCode).toBe(0);
    engine.podman = false;
    expect(await host.gpuctl(['sample'])).toMatchObject({ exitCode: 3, stdout: expect.stringContaining('docker answers on this socket, the ledger knows podman') });
    expect(checksIn(await doctor(['--json'])).find(({ id }) => id === 'engine')?.remedy).toContain('gpuctl doctor --accept-engine');
    const accepted = await doctor(['--accept-engine', '--yes']);
    expect(accepted).toMatchObject({ exitCode: 0, stderr: 'gpuctl: accepted: AAAA:BBBB is the engine of this host from now on\n' });
    expect(accepted.events).toMatchObject([{ 'event.action': 'engine.accepted', 'gpuctl.engine': { kind: 'docker', id: 'AAAA:BBBB' }, 'gpuctl.was': { kind: 'podman' } }]);
    expect((await host.gpuctl(['sample'])).exitCode).toBe(0);
    engine.podman = true;
    expect((await host.gpuctl(['sample'])).exitCode).toBe(3);
    expect((await doctor(['--accept-engine', '--yes'])).stderr).toBe('gpuctl: accepted: podman is the engine of this host from now on\n');
    expect((await host.gpuctl(['sample'])).exitCode).toBe(0);
  });

  it('waits for nobody: while a pass runs it exits 75 and changes nothing', async () => {
    const { host, doctor } = await useReplacedEngine();
    const holder = spawn('flock', ['-x', join(host.dir, 'run', 'lock'), 'sh', '-c', 'echo held; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'], detached: true });
    onTestFinished(() => { process.kill(-(holder.pid ?? 0), 'SIGKILL'); });
    await new Promise((resolve) => { holder.stdout.once('data', resolve); });
    expect(await doctor(['--accept-engine', '--yes'])).toMatchObject({ exitCode: 75 });
    expect(bad(await doctor(['--json']))).toEqual([['engine', 'failure']]);
  });

  it('lets the engine be trusted though it has forgotten a container that runs, until it lists it and forgets it anew', async () => {
    const { host, engine, doctor } = await useGoodHost();
    const id = 'e'.repeat(64);
    engine.containers.push({ id, name: 'forgotten' });
    expect(await host.gpuctl(['sample'])).toMatchObject({ exitCode: 0 });
    await host.process({ name: `containerd-shim-${id}` });
    engine.containers = engine.containers.filter((container) => container.id !== id);
    expect(await host.gpuctl(['sample'])).toMatchObject({ exitCode: 3 });
    expect(checksIn(await doctor(['--json'])).find((check) => check.id === 'engine')?.remedy).toContain('gpuctl doctor --accept-engine');
    const accepted = await doctor(['--accept-engine', '--yes']);
    expect(accepted).toMatchObject({ exitCode: 0, stderr: expect.stringMatching(/^gpuctl: accepted: eeeeeeeeeeee \(pid \d+\) cast no more doubt on the engine/) });
    expect(accepted.events).toMatchObject([{ 'event.action': 'engine.accepted', 'gpuctl.containers': [id] }]);
    expect(await host.gpuctl(['sample'])).toMatchObject({ exitCode: 0 });
    expect(await doctor(['--accept-engine', '--yes'])).toMatchObject({ exitCode: 0, stderr: expect.stringContaining('nothing to accept'), events: [] });
    engine.containers.push({ id, name: 'forgotten' });
    expect(await host.gpuctl(['sample'])).toMatchObject({ exitCode: 0 });
    engine.containers = engine.containers.filter((container) => container.id !== id);
    expect(await host.gpuctl(['sample'])).toMatchObject({ exitCode: 3 });
  });

  it('has nothing to accept where the engine is the one that is known, or none is known yet', async () => {
    const { host, doctor } = await useGoodHost();
    expect((await doctor(['--accept-engine', '--yes'])).stderr).toContain('nothing to accept');
    await host.gpuctl(['sample']);
    expect((await doctor(['--accept-engine', '--yes'])).stderr).toContain('AAAA:BBBB is the engine that the ledger knows');
  });
});
