import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { newMig } from '../hostsim/new-world.ts';
import type { Host } from '../hostsim/host.ts';
import { idOf, useEngine, type FakeEngine } from './fake-engine.ts';
import { GPUCTL, REPOSITORY, useHost } from './workbench.ts';

const { version } = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8')) as { version: string };

/** GPU 0 claimed, 1 with an orphan, 2 with a fault of its memory, 3 and 4 free, 5 divided: one of its two devices claimed. */
async function useMixedHost(): Promise<{ host: Host; engine: FakeEngine }> {
  const host = useHost({ gpus: [{}, {}, { remapFailed: true }, {}, {}, { mig: [newMig(5, 0), newMig(5, 1)] }], driver: '570.148.08' });
  const engine = await useEngine(host, [
    { id: idOf('a'), name: 'training', gpus: [host.gpu(0).uuid], labels: { 'gpuctl.owner': 'alice' } },
    { id: idOf('b'), name: 'slice', gpus: [newMig(5, 0).uuid] },
  ]);
  host.listOn(1, await host.process({ cgroup: `docker/${idOf('dead')}` }));
  return { host, engine };
}

describe('free', () => {
  it('prints the UUIDs of the devices that nobody claims and that are healthy, one a line', async () => {
    const { host } = await useMixedHost();
    const [three, four] = [host.gpu(3).uuid, host.gpu(4).uuid];
    expect(await host.gpuctl(['free'])).toMatchObject({ exitCode: 0, stdout: `${three}\n${four}\n`, stderr: '' });
    expect((await host.gpuctl(['free', '--json'])).json).toEqual([three, four]);
    expect(await host.gpuctl(['free', '--count', '1'])).toMatchObject({ exitCode: 0, stdout: `${three}\n` });
    expect(await host.gpuctl(['free', '--count', '3'])).toMatchObject({ exitCode: 1, stdout: '' });
    expect(await host.gpuctl(['free', '--mig', '1g.10gb'])).toMatchObject({ exitCode: 0, stdout: `${newMig(5, 1).uuid}\n` });
    expect(await host.gpuctl(['free', '--mig', '7g.80gb', '--count', '1'])).toMatchObject({ exitCode: 1, stdout: '' });
    for (const count of ['0', '-1', 'two', '1.5', '']) expect(await host.gpuctl(['free', `--count=${count}`])).toMatchObject({ exitCode: 2, stdout: '' });
    // It is a view: it tells no collector and writes no ledger.
    expect(host.events()).toEqual([]);
  });

  it('says nothing is free where it is not known what is', async () => {
    const { host, engine } = await useMixedHost();
    engine.mood = 'error';
    expect(await host.gpuctl(['free'])).toMatchObject({ exitCode: 3, stdout: '', stderr: expect.stringMatching(/^gpuctl: what is free is not known: engine: /) as string });
    engine.mood = 'well';
    host.fault({ kind: 'swallow-processes', error: 'Unknown Error', gpu: host.gpu(3).uuid });
    expect((await host.gpuctl(['free'])).stdout).toBe(`${host.gpu(4).uuid}\n`);
    host.removeSmi();
    expect(await host.gpuctl(['free'])).toMatchObject({ exitCode: 3, stdout: '' });
  });
});

describe('status and allocations', () => {
  it('status shows who holds which device, what is wrong, and what happens next', async () => {
    const { host } = await useMixedHost();
    const { stdout, exitCode, stderr } = await host.gpuctl(['status']);
    expect(stdout).toMatch(/^0 .*training.*GPU-00000000/m);
    expect(stdout).toMatch(/^5:0 .*1g\.10gb .*slice.*MIG-/m);
    expect(stdout).toMatch(/gpu\.row_remap\.failed/);
    for (const job of ['release-stale', 'check-idle', 'enforce-runtime', 'cleanup-containers', 'sample']) expect(stdout).toMatch(new RegExp(`^ +in .+ {2}${job}$`, 'm'));
    expect([exitCode, stderr, host.events()]).toEqual([1, '', []]);
    expect((await host.gpuctl(['status', '--json'])).json).toMatchObject({ job: 'status', next: expect.arrayContaining([{ job: 'sample', at: expect.any(String) as string }]) as unknown });
  });

  it('status shows the clocks of each container that holds a device against its limits, and what happens to it first', async () => {
    const { host, engine } = await useMixedHost();
    const limited = { engine: { host: `unix://${engine.socketPath}` }, limits: { default: { idle_timeout: '45m', max_runtime: '20h' } } };
    expect((await host.gpuctl(['status'])).stdout).toMatch(/^training +alice +not known of 30m +not known of 24h +no file sets limits, so nothing is stopped or removed$/m);
    host.configure(limited);
    await host.gpuctl(['sample']);
    const { stdout } = await host.gpuctl(['status']);
    expect(stdout).toMatch(/^training +alice +\d+ s of 45m +\d+ s of 20h +stopped at its runtime limit in 2[01] h \d+ min at the earliest$/m);
    expect((await host.gpuctl(['status', '--json'])).json).toMatchObject({ containers: expect.arrayContaining([expect.objectContaining({ name: 'training', prospects: [expect.objectContaining({ what: 'idle-stop', spent_ms: 0 }), expect.objectContaining({ what: 'runtime-stop' })] })]) as unknown });
  });

  it('allocations shows what the ledger knows: what is held, and with --all what was released and why', async () => {
    const { host, engine } = await useMixedHost();
    expect(await host.gpuctl(['allocations'])).toMatchObject({ exitCode: 0, stdout: 'No allocations.\n' });
    await host.gpuctl(['sample']);
    const held = await host.gpuctl(['allocations']);
    expect(held.stdout).toMatch(new RegExp(`^${host.gpu(0).uuid} +training +${idOf('a').slice(0, 12)} +alice +20`, 'm'));
    expect(held.stdout).toMatch(new RegExp(`^${newMig(5, 0).uuid} +slice`, 'm'));
    engine.containers[0] = { id: idOf('a'), name: 'training', state: 'exited', gpus: [host.gpu(0).uuid], labels: { 'gpuctl.type': 'orchestration' } };
    await host.gpuctl(['release-stale']);
    expect((await host.gpuctl(['allocations'])).stdout).not.toContain('training');
    expect((await host.gpuctl(['allocations', '--all'])).stdout).toMatch(/training .*\(no-hold\)/);
    expect((await host.gpuctl(['allocations', '--all', '--json'])).json).toContainEqual(expect.objectContaining({ gpu: host.gpu(0).uuid, release_reason: 'no-hold' }));
  });
});

describe('podman\'s socket', () => {
  it('claims count as any engine\'s; no process is ended', async () => {
    const { host, engine } = await useMixedHost();
    engine.podman = true;
    const result = await host.gpuctl(['release-stale']);
    expect(result.exitCode).toBe(1);
    expect(result.events).toContainEqual(expect.objectContaining({ 'event.action': 'gpu.stray.reported', 'event.reason': 'foreign-podman' }));
    expect((await host.gpuctl(['free'])).stdout).toBe(`${host.gpu(3).uuid}\n${host.gpu(4).uuid}\n`);
  });
});

const run = (args: readonly string[], options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {}, file = GPUCTL): SpawnSyncReturns<string> => spawnSync(file, args, { encoding: 'utf8', ...options });

describe('the command line', () => {
  it('tells its version, alone and among other options', () => {
    for (const args of [['--version'], ['-V'], ['--json', '--version']]) expect(run(args)).toMatchObject({ status: 0, stdout: `${version}\n`, stderr: '' });
  });

  it.each([[[], 'Commands:'], ...['health-check', 'release-stale', 'sample', 'run-all', 'status', 'free', 'allocations', 'config', 'config check', 'config show', 'config init'].map((line) => [line.split(' '), 'Usage: gpuctl'] as const)] as const)('helps with %j', (words, expected) => {
    const help = run([...words, '--help']);
    expect(help).toMatchObject({ status: 0, stderr: '' });
    expect(help.stdout).toContain(expected);
    expect(help.stdout).toContain(['Usage: gpuctl', ...words].join(' '));
  });

  it.each([
    [['frobnicate'], /unknown command 'frobnicate'/],
    [['relase-stale'], /unknown command 'relase-stale'[^]*release-stale/],
    [['release-stale', '--force'], /unknown option '--force'/],
    [['release-stale', 'now'], /too many arguments/],
    [['health-check', '--device'], /argument missing/],
    [['--dry-run', 'quarantine', 'clear', '0'], /unknown option '--dry-run' for clear/],
    [['release-stale', '--json', '--events'], /'--json' cannot be used with option '--events'/],
    [['status', '--dry-run'], /unknown option '--dry-run' for status/],
    [['sample', '--over-budget'], /unknown option '--over-budget' for sample/],
    [['config', 'frobnicate'], /unknown command 'frobnicate'/],
    [['--config'], /argument missing/],
  ])('refuses %j with 2, and says where help is', (words, message) => {
    const { status, stdout, stderr } = run(words);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^gpuctl: /);
    expect(stderr).toContain('--help');
  });

  it('takes --dry-run before the command as well as after it', async () => {
    const { host } = await useMixedHost();
    const plans = await Promise.all([['--dry-run', 'release-stale', '--json'], ['release-stale', '--dry-run', '--json']].map((words) => host.gpuctl(words)));
    expect(plans.map(({ exitCode, json }) => [exitCode, (json as { dry_run: unknown }).dry_run, host.events()])).toEqual([[1, true, []], [1, true, []]]);
  });

  it('without a command shows its help and ends with 2', () => {
    const { status, stdout, stderr } = run([]);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain('Usage: gpuctl');
  });
});

describe('the launcher', () => {
  it('works from any folder, through links, and by name', () => {
    const host = useHost();
    mkdirSync(join(host.dir, 'links', 'deep'), { recursive: true });
    symlinkSync(GPUCTL, join(host.dir, 'links', 'one'));
    symlinkSync('../one', join(host.dir, 'links', 'deep', 'gpuctl'));
    expect(run(['--version'], { cwd: '/' })).toMatchObject({ status: 0, stdout: `${version}\n` });
    expect(run(['--version'], { cwd: host.dir }, join(host.dir, 'links', 'deep', 'gpuctl'))).toMatchObject({ status: 0, stdout: `${version}\n` });
    expect(run(['--version'], { cwd: join(host.dir, 'links') }, './one')).toMatchObject({ status: 0, stdout: `${version}\n` });
    expect(spawnSync('sh', ['-c', 'gpuctl --version'], { encoding: 'utf8', cwd: '/', env: { PATH: `${join(host.dir, 'links', 'deep')}:/usr/bin:/bin` } })).toMatchObject({ status: 0, stdout: `${version}\n` });
    expect(run(['--version'], { cwd: join(REPOSITORY, 'bin') }, './gpuctl')).toMatchObject({ status: 0 });
  });

  it('is not impressed by NODE_OPTIONS', () => {
    expect(run(['--version'], { env: { PATH: '/usr/bin:/bin', NODE_OPTIONS: '--no-such-option --require /tmp/evil.js' } })).toMatchObject({ status: 0, stdout: `${version}\n`, stderr: '' });
  });

  it('in a checkout that is not built says what to run', () => {
    const host = useHost();
    mkdirSync(join(host.dir, 'checkout', 'bin'), { recursive: true });
    const copy = join(host.dir, 'checkout', 'bin', 'gpuctl');
    copyFileSync(GPUCTL, copy);
    expect(run(['status'], {}, copy)).toMatchObject({ status: 70, stdout: '', stderr: expect.stringMatching(/^gpuctl: .*npm run build\n$/) as string });
  });
});
