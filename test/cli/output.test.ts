import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Host } from '../hostsim/host.ts';
import type { SimProcess } from '../hostsim/processes.ts';
import { idOf, useEngine, type FakeEngine } from './fake-engine.ts';
import { actionsIn, expectValidEvents, GPUCTL, ON_TERMINAL, reportIn, treeHash, useHost } from './workbench.ts';
import type { GpuctlLine } from '../hostsim/gpuctl-call.ts';

const LIVE = idOf('11fe');
const STALE = idOf('57a1e');
// oxlint-disable-next-line no-control-regex -- it is what is looked for
const ESCAPE = /\u001b\[\d*m/;
const PLAIN = { NO_COLOR: '1' };

/** Something for every verb: a stale allocation and an orphan on GPU 0, a GPU 1 that asks for a reset, a live container on GPU 2. */
async function useBusyHost(): Promise<{ host: Host; engine: FakeEngine; orphan: SimProcess }> {
  const host = useHost({ gpus: [{}, { recovery: 'Reset' }, {}], driver: '590.48.01' });
  const engine = await useEngine(host, [{ id: LIVE, name: 'live', gpus: [host.gpu(2).uuid] }, { id: STALE, name: 'stale', state: 'exited', gpus: [host.gpu(0).uuid], labels: { 'gpuctl.type': 'orchestration' } }]);
  const orphan = await host.process({ cgroup: `docker/${idOf('dead')}` });
  host.listOn(0, orphan);
  return { host, engine, orphan };
}

function isUntouched(host: Host, orphan: SimProcess): boolean {
  return orphan.isAlive() && host.world().resets.length === 0;
}

describe('--json', () => {
  it('prints one document of the documented shape, of a pass, a dry run and a report', async () => {
    const { host } = await useBusyHost();
    for (const args of [['health-check'], ['release-stale', '--dry-run'], ['release-stale']]) {
      const result = await host.gpuctl([...args, '--json']);
      const report = reportIn(result);
      expect(Object.keys(report)).toEqual(['schema', 'pass', 'job', 'host', 'dry_run', 'started_at', 'ended_at', 'exit', 'observed', 'devices', 'decisions', 'outcomes', 'findings', 'conditions']);
      expect(report).toMatchObject({ schema: 1, job: args[0], dry_run: args.length > 1, exit: result.exitCode, observed: { nvidia_smi: 'complete', engine: 'complete', processes: 'complete' } });
      expect(report.pass).toMatch(/^[0-9A-HJKMNP-TV-Z]{26}$/);
      expect(report.ended_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      expect(report.devices.map(({ index, uuid, bus_id }) => [index, uuid, bus_id])).toEqual(host.world().gpus.map(({ index, uuid, busId }) => [index, uuid, busId.toLowerCase()]));
      for (const { verb, verdict, reason, round } of report.decisions) {
        expect([verb, verdict, reason]).toEqual([expect.stringMatching(/^(?:kill|reset|release)$/), expect.stringMatching(/^(?:act|refuse|leave)$/), expect.stringMatching(/^[a-z-]+$/)]);
        expect(round).toBeGreaterThan(0);
      }
      for (const { decision, result: how } of report.outcomes) expect([report.decisions[decision]?.verdict, how]).toEqual(['act', 'done']);
      for (const { id, severity, remedy } of report.findings) expect([id, severity, remedy]).toEqual([expect.stringMatching(/^[a-z_.-]+$/), expect.stringMatching(/^(?:info|warning|critical)$/), expect.stringMatching(/./)]);
    }
    expect(reportIn(await host.gpuctl(['health-check', '--json']))).toMatchObject({ exit: 0, decisions: expect.any(Array) as unknown, findings: [] });
  });

  it('of run-all says the exit code that the run ends with, also where an error ends it', async () => {
    const result = await useHost({ gpus: 1 }).gpuctl(['run-all', '--json', '--over-budget']);
    expect(result).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('--over-budget needs a terminal') as string, json: { schema: 1, job: 'run-all', exit: 2, passes: [] } });
  });
});

describe('--events', () => {
  it('prints on stdout the lines that the file gets, and nothing else', async () => {
    const { host } = await useBusyHost();
    const result = await host.gpuctl(['release-stale', '--events']);
    const lines = result.stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line) as GpuctlLine);
    expectValidEvents(lines);
    expect(lines).toEqual(result.events);
    expect(actionsIn(lines)).toEqual(expect.arrayContaining(['pass.started', 'gpu.allocation.observed', 'gpu.allocation.released', 'gpu.orphan.found', 'gpu.orphan.ended', 'gpu.reset.wanted', 'gpu.reset.done', 'gpu.health_check', 'pass.ended']));
    expect(new Set(lines.map((line) => line['gpuctl.pass'])).size).toBe(1);
  });

  it('of a view are none: what it prints is its answer alone', async () => {
    const { host } = await useBusyHost();
    for (const view of ['status', 'free', 'explain 0']) {
      expect((await host.gpuctl([...view.split(' '), '--events'])).stdout, view).not.toContain('event.action');
    }
    expect(host.events()).toEqual([]);
  });

  it('of a dry run go nowhere else, and say what they are', async () => {
    const { host } = await useBusyHost();
    const result = await host.gpuctl(['release-stale', '--events', '--dry-run']);
    const lines = result.stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line) as GpuctlLine);
    expectValidEvents(lines);
    expect(new Set(lines.map((line) => line['gpuctl.dry_run']))).toEqual(new Set([true]));
    expect(actionsIn(lines)).not.toContain('gpu.orphan.ended');
    expect(existsSync(host.eventsPath)).toBe(false);
  });
});

describe('--quiet', () => {
  it('prints nothing where nothing is wrong', async () => {
    const { host } = await useBusyHost();
    expect(await host.gpuctl(['release-stale', '--quiet'])).toMatchObject({ exitCode: 0, stdout: '', stderr: '' });
  });
});

describe('--dry-run', () => {
  it('writes nothing anywhere and signals nobody; it exits as if all had been done', async () => {
    const { host, orphan } = await useBusyHost();
    await host.gpuctl(['sample']);
    const [state, world, events] = [treeHash(host.stateDir), readFileSync(host.worldPath), readFileSync(host.eventsPath)];
    for (const args of [['release-stale'], ['health-check', '--repair']]) {
      const result = await host.gpuctl([...args, '--dry-run', '--json']);
      expect(reportIn(result).decisions.filter(({ verdict }) => verdict === 'act').map(({ verb }) => verb)).toEqual(args[0] === 'health-check' ? ['kill', 'reset'] : ['release', 'kill', 'reset']);
      expect(result.exitCode).toBe(0);
    }
    // Its later passes see the host as it still is, so its exit code is another matter.
    expect((await host.gpuctl(['run-all', '--dry-run'])).stdout).toMatch(/release-stale on .*\(dry run[^]*cleanup-containers on .*\(dry run/);
    expect(isUntouched(host, orphan)).toBe(true);
    expect([treeHash(host.stateDir), readFileSync(host.worldPath), readFileSync(host.eventsPath)]).toEqual([state, world, events]);
    expect(host.calls().filter(({ kind }) => kind === 'reset' || kind === 'persistence')).toEqual([]);
  });

  it('on a host where gpuctl never ran makes no ledger, and takes no lock', async () => {
    const { host } = await useBusyHost();
    const result = await host.gpuctl(['release-stale', '--dry-run']);
    expect(result).toMatchObject({ exitCode: 0, stderr: '', stdout: expect.stringContaining('(dry run: nothing is done)') as string });
    expect([existsSync(`${host.stateDir}/ledger.db`), existsSync(`${host.dir}/run/lock`), existsSync(host.eventsPath)]).toEqual([false, false, false]);
  });
});

describe('health-check without --repair', () => {
  it('changes nothing, and says what it would be good to do', async () => {
    const { host, orphan } = await useBusyHost();
    await host.gpuctl(['sample']);
    const [state, world] = [treeHash(host.stateDir), readFileSync(host.worldPath)];
    const result = await host.gpuctl(['health-check']);
    expect(result).toMatchObject({ exitCode: 1, stderr: '' });
    expect(result.stdout).toMatch(/gpu\.orphan on GPU \d: process \d+/);
    expect(result.stdout).toContain('nothing was done');
    expect([treeHash(host.stateDir), readFileSync(host.worldPath)]).toEqual([state, world]);
    expect(isUntouched(host, orphan)).toBe(true);
  });

  it('--device takes an index, a UUID or a bus id, and an unknown one ends it with 2 and its name', async () => {
    const { host } = await useBusyHost();
    const { uuid, busId } = host.gpu(1);
    for (const name of ['1', uuid, busId.slice(4)]) {
      expect(reportIn(await host.gpuctl(['health-check', '--json', '--device', name])).devices.map((device) => device.uuid)).toEqual([uuid]);
    }
    expect(reportIn(await host.gpuctl(['health-check', '--json', '--device', '0', '2'])).devices.map(({ index }) => index)).toEqual([0, 2]);
    for (const name of ['7', 'training']) {
      expect(await host.gpuctl(['health-check', '--device', name])).toMatchObject({ exitCode: 2, stdout: '', stderr: expect.stringContaining(`"${name}" names no device of this host`) as string });
    }
  });

  it('--repair --device leaves the other devices alone', async () => {
    const { host, orphan } = await useBusyHost();
    await host.gpuctl(['health-check', '--repair', '--device', '1']);
    expect([orphan.isAlive(), host.world().resets.map(({ gpu }) => gpu)]).toEqual([true, [host.gpu(1).uuid]]);
  });
});

describe('colours', () => {
  it('are not written to a pipe', async () => {
    const { host } = await useBusyHost();
    for (const args of [['health-check'], ['status'], ['allocations', '--all'], ['config', 'show'], ['--help']]) {
      const { stdout, stderr } = await host.gpuctl(args);
      expect(stdout + stderr).not.toMatch(ESCAPE);
    }
  });

  it('are written to a terminal, unless NO_COLOR or --no-color say otherwise', async () => {
    const { host } = await useBusyHost();
    const env = { TERM: 'xterm' };
    expect((await host.gpuctl(['health-check'], { program: ON_TERMINAL, env })).stdout).toMatch(ESCAPE);
    expect((await host.gpuctl(['health-check', '--no-color'], { program: ON_TERMINAL, env })).stdout).not.toMatch(ESCAPE);
    expect((await host.gpuctl(['health-check'], { program: ON_TERMINAL, env: { ...env, NO_COLOR: '1' } })).stdout).not.toMatch(ESCAPE);
  });
});

describe('a pass on a terminal', () => {
  it('colours its plan where that goes to the terminal, whatever becomes of the report', async () => {
    const { host } = await useBusyHost();
    const program = (redirection: string): readonly string[] => ['sh', '-c', `GPUCTL=$1; shift; ARGS=$*; export GPUCTL ARGS; exec script -q -e -E never -c 'exec "$GPUCTL" $ARGS ${redirection}' /dev/null`, 'sh', GPUCTL];
    const plan = join(host.dir, 'plan');
    await host.gpuctl(['release-stale'], { program: program(`2>${plan}`), env: { TERM: 'xterm' }, stdin: 'n\n' });
    expect(readFileSync(plan, 'utf8')).toMatch(/^Plan$/m);
    expect((await host.gpuctl(['release-stale'], { program: program('>/dev/null'), env: { TERM: 'xterm' }, stdin: 'n\n' })).stdout).toMatch(ESCAPE);
  });

  it('shows its plan and asks; without a yes nothing is done', async () => {
    const { host, orphan } = await useBusyHost();
    for (const stdin of ['n\n', '\n']) {
      const result = await host.gpuctl(['release-stale'], { program: ON_TERMINAL, env: PLAIN, stdin });
      expect(result.stdout).toMatch(/Plan\r?\n/);
      expect(result.stdout).toContain('Carry this out?');
      expect(result.stdout).toContain('nothing was done');
      expect(result.exitCode).toBe(0);
    }
    expect(isUntouched(host, orphan)).toBe(true);
    expect([existsSync(`${host.stateDir}/ledger.db`), existsSync(host.eventsPath)]).toEqual([false, false]);
  });

  it('with a yes, does it', async () => {
    const { host, orphan } = await useBusyHost();
    const result = await host.gpuctl(['release-stale'], { program: ON_TERMINAL, env: PLAIN, stdin: 'y\n' });
    expect(result.exitCode).toBe(0);
    expect([orphan.isAlive(), host.world().resets.length]).toEqual([false, 1]);
  });

  it('does not ask with --yes, nor where nothing is to be done', async () => {
    const { host, orphan } = await useBusyHost();
    const result = await host.gpuctl(['release-stale', '--yes'], { program: ON_TERMINAL, env: PLAIN });
    expect([result.exitCode, orphan.isAlive(), result.stdout.includes('Carry this out?')]).toEqual([0, false, false]);
    const again = await host.gpuctl(['release-stale'], { program: ON_TERMINAL, env: PLAIN });
    expect([again.exitCode, again.stdout.includes('Carry this out?')]).toEqual([0, false]);
  });

  it('holds no lock while it asks, and decides anew after the yes', async () => {
    const { host, orphan } = await useBusyHost();
    const keyboard = join(host.dir, 'keyboard');
    spawnSync('mkfifo', [keyboard]);
    const keys = openSync(keyboard, 'r+');
    onTestFinished(() => { closeSync(keys); });
    const running = host.startGpuctl(['release-stale'], { program: ['sh', '-c', '"$@" <"$0"', keyboard, ...ON_TERMINAL], env: PLAIN });
    let shown = '';
    running.child.stdout?.on('data', (chunk: Buffer) => { shown += chunk.toString(); });
    while (!shown.includes('Carry this out?')) await delay(20);
    await orphan.end();
    // Exit 1: a GPU asks for a reset.
    expect(await host.gpuctl(['sample'])).toMatchObject({ exitCode: 1 });
    writeSync(keys, 'y\n');
    const result = await running.done;
    expect(result.stdout).toContain('end process');
    expect(actionsIn(host.events())).not.toContain('gpu.orphan.found');
    expect(host.world().resets).toHaveLength(1);
  });
});

describe('the breaker', () => {
  it('does none of what is over its budget; --over-budget needs a terminal, shows the plan and asks even with --yes', async () => {
    const { host, orphan } = await useBusyHost();
    const second = await host.process({ cgroup: `docker/${idOf('beef')}` });
    host.listOn(0, second);
    host.configure({ engine: { host: `unix://${host.dir}/fake.sock` }, breaker: { kills: 1 } });
    const tripped = await host.gpuctl(['release-stale']);
    expect(tripped.exitCode).toBe(1);
    expect(actionsIn(tripped.events)).toContain('breaker.tripped');
    expect([orphan.isAlive(), second.isAlive()]).toEqual([true, true]);
    expect(await host.gpuctl(['release-stale', '--over-budget'])).toMatchObject({ exitCode: 2, stdout: '', stderr: expect.stringMatching(/^gpuctl: --over-budget needs a terminal[^\n]*\n {2}hint: /) as string });
    const refused = await host.gpuctl(['release-stale', '--over-budget', '--yes'], { program: ON_TERMINAL, env: PLAIN, stdin: 'n\n' });
    expect(refused.stdout).toContain('Carry this out?');
    expect([orphan.isAlive(), second.isAlive()]).toEqual([true, true]);
    await host.gpuctl(['release-stale', '--over-budget'], { program: ON_TERMINAL, env: PLAIN, stdin: 'y\n' });
    expect([orphan.isAlive(), second.isAlive()]).toEqual([false, false]);
  });
});

describe('a reader that goes away', () => {
  it('is no error', async () => {
    const { host } = await useBusyHost();
    const result = await host.gpuctl(['health-check'], { program: ['bash', '-c', 'set -o pipefail; "$@" | true; exit "${PIPESTATUS[0]}"', 'bash', GPUCTL] });
    expect(result).toMatchObject({ exitCode: 1, stderr: '' });
    expect(spawnSync('sh', ['-c', `'${GPUCTL}' --help | true`]).stderr.toString()).toBe('');
  });
});

describe('a disk that is full', () => {
  it.each(['--version', '--help'])('costs %s its exit code 0, and is said in one line', (option) => {
    const { status, stderr } = spawnSync('sh', ['-c', '"$0" "$1" >/dev/full', GPUCTL, option], { encoding: 'utf8' });
    expect([status, stderr]).toEqual([1, expect.stringMatching(/^gpuctl: standard output cannot be written: ENOSPC[^\n]*\n$/)]);
  });
});
