import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { renderTar } from '../../src/act/notify/tar.ts';
import { readBundle } from '../../src/cli/replay/bundle.ts';
import type { PassReport } from '../../src/passes/report.ts';
import type { Host } from '../hostsim/host.ts';
import { idOf, useEngine, type FakeEngine } from './fake-engine.ts';
import { gpuctlAsUser, reportIn, treeHash, useHost } from './workbench.ts';

const GONE = idOf('dead');
const PASSES = [['release-stale', '--dry-run'], ['health-check'], ['check-idle', '--dry-run'], ['enforce-runtime', '--dry-run'], ['cleanup-containers', '--dry-run']] as const;

interface World {
  readonly host: Host;
  readonly engine: FakeEngine;
}

/** An orphan, a stray, a dirty board, containers in several states whose names and labels are private. */
async function useBusyWorld(): Promise<World> {
  const host = useHost({ gpus: [{}, { recovery: 'Reset' }, {}], driver: '590.48.01' });
  const engine = await useEngine(host, [
    { id: idOf('a1'), name: 'secret-project', gpus: [host.gpu(2).uuid], labels: { 'gpuctl.owner': 'mallory', 'mail': 'mallory@example.org' } },
    { id: idOf('a2'), name: 'exited', state: 'exited', gpus: [host.gpu(2).uuid], labels: { 'gpuctl.owner': 'trent' } },
    { id: idOf('a3'), name: 'never.started', state: 'created', labels: { 'gpuctl.device': '0' } },
  ]);
  host.configure({ engine: { host: `unix://${engine.socketPath}`, timeout: '1s' }, limits: { default: { idle_timeout: '30m', max_runtime: '1h' }, users: { mallory: { max_runtime: '2h' } } }, exemptions: [{ user: 'trent', from: ['idle_timeout'], reason: 'trent is ill', until: '2099-01-01' }], notify: { admin: [{ webhook: 'https://hooks.example.org/token-1234' }] } });
  host.listOn(0, await host.process({ cgroup: `docker/${GONE}` }), { name: '/home/mallory/train.py --key hunter2' });
  host.listOn(1, await host.process({ name: 'mallorys' }), { name: 'x' });
  return { host, engine };
}

/** Everything that was decided, without what differs from run to run. */
function exactly({ exit, observed, decisions, findings }: PassReport): unknown {
  return { exit, observed, decisions, findings };
}

/** What must be the same where names are not. */
function gist({ exit, observed, decisions, findings }: PassReport): unknown {
  return { exit, observed, decisions: decisions.map(({ round, verb, verdict, reason }) => [round, verb, verdict, reason]), findings: findings.map(({ id, severity }) => [id, severity]) };
}

/** Ages move on between the capture and the pass that it is compared with. */
function still(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (key, each: unknown) => (/Ms$|_ms$|At$|^at$|^age/.test(key) && typeof each === 'number' ? 0 : each)).replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'then'));
}

/** The capture replays itself and exits with 1 where anything came out otherwise. */
async function captured(host: Host, ...options: readonly string[]): Promise<string> {
  const bundle = join(host.dir, `b${options.length}.tar.gz`);
  expect(await host.gpuctl(['capture', bundle, ...options])).toMatchObject({ exitCode: 0, stderr: expect.stringContaining(options.length === 0 ? 'without names' : 'with all names') });
  return bundle;
}

describe('a captured host', () => {
  it('leads to the same decisions when it is replayed, scrubbed or not', async () => {
    const { host } = await useBusyWorld();
    expect(await host.gpuctl(['sample'])).toMatchObject({ exitCode: 1 });
    const [scrubbed, open] = [await captured(host), await captured(host, '--no-scrub')];
    for (const args of PASSES) {
      const live = reportIn(await host.gpuctl([...args, '--json']));
      const asked = host.calls().length;
      expect(still(exactly(reportIn(await host.gpuctl([args[0], '--json', '--replay', open])))), args[0]).toEqual(still(exactly(live)));
      expect(gist(reportIn(await host.gpuctl([args[0], '--json', '--replay', scrubbed]))), args[0]).toEqual(gist(live));
      expect(host.calls()).toHaveLength(asked);
      if (args[0] === 'release-stale') expect(live.decisions.filter(({ verdict }) => verdict === 'act').length).toBeGreaterThan(0);
    }
  });

  it.each([
    ['nvidia-smi does not answer', (world: World) => { world.host.fault({ kind: 'exit', code: 9 }); }],
    ['process lists are swallowed', ({ host }: World) => { host.fault({ kind: 'swallow-processes', error: 'Insufficient Permissions' }); }],
    ['the engine is another one', ({ engine }: World) => { engine.id = 'CCCC:DDDD'; }],
    ['one GPU silences an old driver', ({ host }: World) => { host.updateWorld((world) => { world.driver = '535.274.02'; }); host.fault({ kind: 'sick-gpu', gpu: host.gpu(1).uuid, error: 'lost', style: 'handle' }); }],
  ] as const)('does so too where %s', async (_, damage) => {
    const world = await useBusyWorld();
    const { host } = world;
    await host.gpuctl(['sample']);
    damage(world);
    const bundle = await captured(host);
    expect(gist(reportIn(await host.gpuctl(['release-stale', '--json', '--replay', bundle])))).toEqual(gist(reportIn(await host.gpuctl(['release-stale', '--dry-run', '--json']))));
  });
});

describe('a bundle', () => {
  it('is for root alone, holds nothing private, is replayed by anybody, and then nothing is done, written or asked', async () => {
    const { host } = await useBusyWorld();
    await host.gpuctl(['sample']);
    const bundle = await captured(host);
    expect(statSync(bundle).mode & 0o777).toBe(0o600);
    const text = [...readBundle(bundle).values()].join('\n');
    for (const secret of ['mallory', 'trent', 'secret-project', 'never.started', 'hunter2', 'example.org', 'token-1234', 'train.py']) expect(text.includes(secret), secret).toBe(false);
    expect(text).toContain(host.gpu(2).uuid);
    const listed = spawnSync('tar', ['tzf', bundle], { encoding: 'utf8' });
    expect(listed).toMatchObject({ status: 0, stderr: '' });
    expect(listed.stdout.split('\n')).toEqual(expect.arrayContaining(['manifest.json', 'nvidia-smi.json', 'engine.json', 'proc.json', 'ledger.json', 'policy.json', 'configuration.json', 'report.json']));

    const [calls, events, before] = [host.calls().length, host.events().length, treeHash(host.stateDir)];
    chmodSync(bundle, 0o644);
    // The configuration of the machine is not asked either.
    const result = await host.gpuctl(['release-stale', '--replay', bundle, '--config', '/nonexistent'], { program: gpuctlAsUser(host) });
    expect(result.stdout).toMatch(/gpuctl release-stale on \S+ \(a replay of \d{4}-\d\d-\d\dT[^,]+Z, scrubbed: nothing is done\)/);
    expect(reportIn(await host.gpuctl(['health-check', '--repair', '--yes', '--json', '--replay', bundle]))).toMatchObject({ dry_run: true, replay: { scrubbed: true }, outcomes: [] });
    expect(await host.gpuctl(['reset', '1', '--replay', bundle]), 'nothing is done, so nobody need say yes').toMatchObject({ stdout: expect.stringContaining('a replay of') });
    expect([host.calls().length, host.events().length, treeHash(host.stateDir), host.world().resets]).toEqual([calls, events, before, []]);
  });

  it('is never written over a file, nor through a link; one that is damaged is refused in one line', async () => {
    const host = useHost({ gpus: 1 });
    const [there, link] = [join(host.dir, 'there'), join(host.dir, 'link')];
    writeFileSync(there, 'mine');
    symlinkSync(join(host.dir, 'elsewhere'), link);
    for (const path of [there, link]) expect(await host.gpuctl(['capture', path])).toMatchObject({ exitCode: 2, stderr: expect.stringMatching(/nothing is overwritten/) });
    expect([readFileSync(there, 'utf8'), existsSync(join(host.dir, 'elsewhere'))]).toEqual(['mine', false]);
    for (const [made, why] of [
      [Buffer.from('hello'), /not packed with gzip/],
      [tarOf(['../../etc/passwd', 'x']), /which no bundle does/],
      [tarOf(MANIFEST), /does not hold/],
      [tarOf(MANIFEST, ['host.json', '{"shapes":{"host":{"methods":[],"parts":[],"values":{}},"ledger":{"methods":["history"],"parts":[],"values":{}}},"answers":{}}']), /does not hold|holds what no host answers/],
    ] as const) {
      const path = join(host.dir, 'bad.tar.gz');
      writeFileSync(path, made);
      const { exitCode, stderr, stdout } = await host.gpuctl(['health-check', '--replay', path]);
      expect([exitCode === 2 || exitCode === 3, stdout]).toEqual([true, '']);
      expect(stderr).toMatch(why);
      expect(stderr).toMatch(/^gpuctl: [^\n]+\n( {2}hint: [^\n]+\n)?$/);
    }
  });
});

const MANIFEST = ['manifest.json', JSON.stringify({ schema: 1, gpuctl: '1', host: 'h', at: 1, scrubbed: true })] as const;

function tarOf(...files: readonly (readonly [name: string, content: string])[]): Buffer {
  const blocks = files.map(([name, content]) => renderTar({ name, content, mode: 0o600, modifiedS: 0 }).subarray(0, -1024));
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(1024)]));
}
