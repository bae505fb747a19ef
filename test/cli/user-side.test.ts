import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Host } from '../hostsim/host.ts';
import { idOf, useEngine, type FakeEngine } from './fake-engine.ts';
import { eventsOf, GPUCTL, REPOSITORY, useHost } from './workbench.ts';

/** Users of every Debian. */
const GAMES = 5;
const MAIL = 8;
const TRAIN = idOf('a1');
const OTHER = idOf('b2');

/** A host where games runs `train` on GPU 0 and mail `other` on GPU 1. */
async function useSharedHost(config: Readonly<Record<string, unknown>> = {}): Promise<{ readonly host: Host; readonly engine: FakeEngine }> {
  const host = useHost({ gpus: 3, config });
  const engine = await useEngine(host, [
    { id: TRAIN, name: 'train', gpus: [host.gpu(0).uuid], labels: { 'gpuctl.owner': 'games' } },
    { id: OTHER, name: 'other', gpus: [host.gpu(1).uuid], labels: { 'gpuctl.owner': 'mail' } },
  ]);
  host.configure({ engine: { host: `unix://${engine.socketPath}`, timeout: '1s' }, ...config });
  chmodSync(host.configPath, 0o644);
  return { host, engine };
}

/** gpuctl as this user runs it; the checkout may lie where he may not look. */
function as(host: Host, uid: number): readonly string[] {
  const user = ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--'];
  if (spawnSync(user[0] ?? '', [...user.slice(1), GPUCTL, '--version']).status === 0) return [...user, GPUCTL];
  const [node, bundle] = [join(host.dir, 'node'), join(host.dir, 'gpuctl.cjs')];
  if (!existsSync(node)) execFileSync('cp', ['-L', join(REPOSITORY, 'node_modules', '.bin', 'node'), node]);
  if (!existsSync(bundle)) execFileSync('cp', [join(REPOSITORY, 'dist', 'gpuctl.cjs'), bundle]);
  return [...user, node, bundle];
}

describe('a user without any right', () => {
  it('learns from the last pass what will happen to his own containers, by which rule, and nothing of others', async () => {
    const { host } = await useSharedHost({ limits: { default: { idle_timeout: '45m' } } });
    expect((await host.gpuctl(['sample'])).stderr).toBe('');
    const mine = await host.gpuctl(['why'], { program: as(host, GAMES) });
    expect(mine).toMatchObject({ exitCode: 0, stderr: '' });
    expect(mine.stdout).toMatch(/^train \(running\) {2}GPU-/);
    expect(mine.stdout).toContain('idle_timeout 45m (default)');
    expect(mine.stdout).toMatch(/stopped at its runtime limit in .* at the earliest .*max_runtime 24h \(default\)/);
    expect(mine.stdout).not.toContain('other');
    const { json } = await host.gpuctl(['why', '--json'], { program: as(host, MAIL) });
    expect(json).toMatchObject({ schema: 1, uid: MAIL, containers: [{ name: 'other', prospects: [{ what: 'idle-stop' }, { what: 'runtime-stop', limit: { key: 'max_runtime', ms: 86_400_000 } }] }] });
  });

  it('is told why his limit is shorter than what the configuration says', async () => {
    const { host } = await useSharedHost({ idle: { high_demand: { at: '60%' } } });
    await host.gpuctl(['sample']);
    const rule = 'idle_timeout 15m (default; shortened from 30m while most devices are taken)';
    expect((await host.gpuctl(['why'], { program: as(host, GAMES) })).stdout).toContain(rule);
    expect((await host.gpuctl(['why', '--json'], { program: as(host, GAMES) })).json).toMatchObject({ containers: [{ prospects: [{ limit: { key: 'idle_timeout', ms: 900_000, from: 'default', shortened_from_ms: 1_800_000 } }, {}] }] });
  });

  it('with no container is told so, and may not ask about somebody else; root may', async () => {
    const { host } = await useSharedHost();
    await host.gpuctl(['sample']);
    expect((await host.gpuctl(['why'], { program: as(host, 9) })).stdout).toMatch(/^No container of uid 9 on /);
    expect((await host.gpuctl(['why', '--json'], { program: as(host, 9) })).json).toMatchObject({ schema: 1, uid: 9, pass: expect.any(String) as string, containers: [], keep_refused: [] });
    expect(await host.gpuctl(['why', '--user', 'games'], { program: as(host, MAIL) })).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('only root') });
    expect(await host.gpuctl(['why'])).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('--user') });
    expect((await host.gpuctl(['why', '--user', 'games'])).stdout).toMatch(/^train /);
  });

  it('before any pass is told that nothing is known', async () => {
    const { host } = await useSharedHost();
    expect(await host.gpuctl(['why'], { program: as(host, GAMES) })).toMatchObject({ exitCode: 3, stderr: expect.stringContaining('no pass of gpuctl has told anything yet') });
    expect(await host.gpuctl(['free'], { program: as(host, GAMES) })).toMatchObject({ exitCode: 3, stdout: '' });
  });

  it('sees what is free and who computes as of the last pass, with its age; an old one is not believed', async () => {
    const { host } = await useSharedHost();
    await host.gpuctl(['sample']);
    const free = await host.gpuctl(['free'], { program: as(host, GAMES) });
    expect(free).toMatchObject({ exitCode: 0, stdout: `${host.gpu(2).uuid}\n`, stderr: expect.stringMatching(/as the last pass saw it, \d+ s ago/) });
    const status = await host.gpuctl(['status'], { program: as(host, GAMES) });
    expect(status.exitCode).toBe(0);
    expect(status.stdout).toMatch(/^As the last pass on .* saw it/);
    expect(status.stdout).not.toContain('train');
    expect(status.stdout).toMatch(new RegExp(`free +${host.gpu(2).uuid}$`, 'm'));
    const { json } = await host.gpuctl(['status', '--json'], { program: as(host, GAMES) });
    expect(json).toMatchObject({ schema: 1, devices: [{ free: false }, { free: false }, { free: true }], next: [{ job: expect.any(String) as string, at: expect.stringMatching(/Z$/) as string }, {}, {}, {}, {}] });
    const file = join(host.stateDir, 'public.json');
    const told = readFileSync(file, 'utf8');
    const devices = [{ free: false, held_by: 0, processes: 0, uuid: 'a' }, { free: false, held_by: 1, processes: 0, uuid: 'b' }, { free: false, held_by: 0, processes: 2, uuid: 'c' }, { free: null, held_by: 0, processes: null, uuid: 'd' }].map((each) => ({ index: 0, verdict: 'dirty', used_mib: null, total_mib: null, utilization_percent: null, ...each }));
    writeFileSync(file, JSON.stringify({ ...JSON.parse(told) as object, devices }));
    expect([...(await host.gpuctl(['status'], { program: as(host, GAMES) })).stdout.matchAll(/- +(not free|held|free|unknown) +([a-d])$/gm)].map(([, use, uuid]) => `${uuid} ${use}`)).toEqual(['a not free', 'b held', 'c held', 'd unknown']);
    writeFileSync(file, JSON.stringify({ ...JSON.parse(told) as object, at: new Date(Date.now() - 16 * 60_000).toISOString() }));
    expect(await host.gpuctl(['free'], { program: as(host, GAMES) })).toMatchObject({ exitCode: 3, stdout: '', stderr: expect.stringContaining('the last pass was 16 min ago') });
  });

  it('may not read a configuration with secrets, which is said, and does not end his question', async () => {
    const { host } = await useSharedHost();
    chmodSync(host.configPath, 0o600);
    const { stderr, exitCode } = await host.gpuctl(['why'], { program: as(host, GAMES) });
    expect(stderr).toContain('the configuration may not be read by this user; the default places are looked in');
    // Answered from the default place, or nothing is known there: never a mistake of his.
    expect([0, 3]).toContain(exitCode);
  });
});

describe('what a pass leaves for users', () => {
  it('has the modes and owners that keep it theirs, and a dry run leaves nothing', async () => {
    const { host } = await useSharedHost();
    for (const pass of ['release-stale', 'sample']) expect((await host.gpuctl([pass, '--dry-run'])).stdout).toContain('dry run: nothing is done');
    expect(readdirSync(host.stateDir)).toEqual([]);
    await host.gpuctl(['release-stale']);
    const facts = (name: string): readonly number[] => { const { mode, uid } = statSync(join(host.stateDir, name)); return [mode & 0o7777, uid]; };
    expect([facts('public.json'), facts('why'), facts(`why/${GAMES}.json`), facts('keep')]).toEqual([[0o644, 0], [0o711, 0], [0o400, GAMES], [0o1733, 0]]);
  });

  it('stays as it was where the engine does not answer: unknown is not gone', async () => {
    const { host, engine } = await useSharedHost();
    await host.gpuctl(['sample']);
    engine.mood = 'error';
    await host.gpuctl(['sample']);
    expect(existsSync(join(host.stateDir, 'why', `${GAMES}.json`))).toBe(true);
    expect(JSON.parse(readFileSync(join(host.stateDir, 'public.json'), 'utf8'))).toMatchObject({ free: null });
    engine.mood = 'well';
    engine.containers.shift();
    await host.gpuctl(['sample']);
    expect(existsSync(join(host.stateDir, 'why', `${GAMES}.json`))).toBe(false);
  });

  it('is no reason to fail: a state folder in which something is in the way is told, and the pass goes on', async () => {
    const { host } = await useSharedHost();
    mkdirSync(join(host.stateDir, 'public.json'));
    const { exitCode, events } = await host.gpuctl(['release-stale']);
    expect(exitCode).toBe(0);
    expect(eventsOf(events, 'notify.failed')).toMatchObject([{ 'event.reason': 'export' }]);
  });
});

describe('gpuctl keep', () => {
  it('by the owner is a wish that the next pass checks, grants and tells', async () => {
    const { host } = await useSharedHost();
    await host.gpuctl(['sample']);
    const asked = await host.gpuctl(['keep', 'train', '--for', '2h'], { program: as(host, GAMES) });
    expect(asked).toMatchObject({ exitCode: 0, stderr: '', stdout: expect.stringContaining('Asked to keep train for 2h') });
    const { events } = await host.gpuctl(['sample']);
    const [granted] = eventsOf(events, 'keep.granted');
    expect(granted).toMatchObject({ 'container.name': 'train', 'gpuctl.uid': GAMES });
    const until = Date.parse(String(granted?.['gpuctl.until']));
    expect(until - Date.now()).toBeGreaterThan(115 * 60_000);
    expect(until - Date.now()).toBeLessThan(121 * 60_000);
    expect(readdirSync(join(host.stateDir, 'keep'))).toEqual([]);
  });

  it('of all wishes of one idle spell together grants no more than keep_alive_max', async () => {
    const { host } = await useSharedHost({ limits: { default: { keep_alive_max: '3h' } } });
    const untils: number[] = [];
    for (const time of ['2h', '200h', '7d']) {
      const { stdout } = await host.gpuctl(['keep', 'train', '--for', time]);
      untils.push(Date.parse(/until (\S+)\.$/m.exec(stdout)?.[1] ?? ''));
    }
    const [first = 0, second = 0, third = 0] = untils;
    expect(second - first).toBeLessThan(3_600_001);
    expect(third).toBe(second);
  });

  it.each([
    ['somebody else’s container', 'other'],
    ['no container at all', 'nothing'],
    ['a start of an id that is too short', 'a1'],
  ])('of %s is refused with an event, in words that tell nothing of others', async (_, reference) => {
    const { host } = await useSharedHost();
    await host.gpuctl(['sample']);
    await host.gpuctl(['keep', reference], { program: as(host, GAMES) });
    const { events } = await host.gpuctl(['sample']);
    expect(eventsOf(events, 'keep.refused')).toMatchObject([{ message: expect.stringContaining(`no container of uid ${GAMES} is called ${reference}`), 'gpuctl.uid': GAMES }]);
    expect(eventsOf(events, 'keep.granted')).toEqual([]);
    // And its user sees it, also after the next passes, until he is granted something.
    await host.gpuctl(['sample']);
    expect((await host.gpuctl(['why'], { program: as(host, GAMES) })).stdout).toMatch(new RegExp(`^gpuctl keep was refused at .*: no container of uid ${GAMES} is called ${reference}$`, 'm'));
    expect((await host.gpuctl(['why'], { program: as(host, MAIL) })).stdout).not.toContain('refused');
    await host.gpuctl(['keep', 'train', '--for', '1h'], { program: as(host, GAMES) });
    await host.gpuctl(['sample']);
    expect((await host.gpuctl(['why'], { program: as(host, GAMES) })).stdout).not.toContain('refused');
  });

  it('answers with one document or with event lines alone, where that is asked for', async () => {
    const { host } = await useSharedHost();
    expect((await host.gpuctl(['keep', 'train', '--for', '2h', '--json'])).json).toMatchObject({ schema: 1, kept: { container: { id: TRAIN, name: 'train' }, until: expect.stringMatching(/Z$/) as string } });
    const { stdout, events } = await host.gpuctl(['keep', 'train', '--events']);
    expect(stdout.trim().split('\n').map((line) => JSON.parse(line) as unknown)).toEqual(events);
    await host.gpuctl(['sample']);
    expect((await host.gpuctl(['keep', 'train', '--for', '1h', '--json'], { program: as(host, GAMES) })).json).toMatchObject({ schema: 1, asked: { container: 'train', for_ms: 3_600_000 } });
  });

  it('of root for a container that is not there says just that', async () => {
    const { host } = await useSharedHost();
    expect(await host.gpuctl(['keep', 'nothing'])).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('no container is called nothing') });
  });

  it('waits where the engine does not answer', async () => {
    const { host, engine } = await useSharedHost();
    await host.gpuctl(['sample']);
    await host.gpuctl(['keep', 'train'], { program: as(host, GAMES) });
    engine.mood = 'error';
    await host.gpuctl(['sample']);
    expect(readdirSync(join(host.stateDir, 'keep'))).toHaveLength(1);
    engine.mood = 'well';
    expect(eventsOf((await host.gpuctl(['sample'])).events, 'keep.granted')).toHaveLength(1);
  });

  it.each([['../../etc/passwd'], ['a\nb'], ['-x'], ['']])('refuses %j as a name before anything is written', async (name) => {
    const { host } = await useSharedHost();
    await host.gpuctl(['sample']);
    expect((await host.gpuctl(['keep', '--', name], { program: as(host, GAMES) })).exitCode).toBe(2);
    expect(readdirSync(join(host.stateDir, 'keep'))).toEqual([]);
  });

  it('survives a folder full of traps', async () => {
    const { host } = await useSharedHost();
    await host.gpuctl(['sample']);
    const folder = join(host.stateDir, 'keep');
    symlinkSync('/etc/shadow', join(folder, 'link'));
    execFileSync('mkfifo', [join(folder, 'fifo')]);
    writeFileSync(join(folder, 'new\nline\u001b[2J'), '{"schema":1,"container":"train","for_ms":1e9,"uid":0}');
    mkdirSync(join(folder, 'dir', 'inner'), { recursive: true });
    const { exitCode, events } = await host.gpuctl(['sample']);
    expect(exitCode).toBe(0);
    expect(eventsOf(events, 'keep.refused')).toHaveLength(5);
    expect(readdirSync(folder)).toEqual([]);
    expect(existsSync('/etc/shadow')).toBe(true);
  });
});
