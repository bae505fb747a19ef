import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { ContainerTarget, Decision } from '../../src/model/decision.ts';
import { openLedger } from '../../src/record/ledger/open.ts';
import type { Engine } from '../hostsim/dockerd.ts';
import { engineProxy, type EngineProxy } from '../hostsim/engine-proxy.ts';
import { login } from '../hostsim/login.ts';
import { eventsOf, hadFirstPassAt, openScene, type PassRun, type Scene, useEngine } from './scene.ts';

const engine = useEngine();
let scene: Scene;
afterEach(() => scene.dispose());

const HOUR_MS = 3_600_000;

/** Limits of seconds instead of hours: the sampler runs as often as a test wants. */
function limits(some: object = {}, more: object = {}): { readonly config: Record<string, unknown> } {
  return { config: {
    limits: { default: { idle_timeout: '3s', idle_checks: 2, max_runtime: 'never', stop_grace: '1s', keep_alive_max: '1h', ...some } },
    idle: { young_container_grace: '0s', high_demand: { at: '100%', factor: 1 } }, warnings: { idle: ['40%', '70%'], runtime: ['40%', '70%'] }, ...more,
  } };
}

/** What was said or done about this container in a run. */
function told(run: PassRun, id: string): readonly string[] {
  return run.events.filter((event) => event['container.id'] === id && String(event['event.action']).startsWith('container.')).map((event) => String(event['event.action']).slice('container.'.length));
}

function decisionOn(run: PassRun, id: string): Decision<ContainerTarget> | undefined {
  return run.report.decisions.find((each): each is Decision<ContainerTarget> => each.target.kind === 'container' && each.target.containerId === id);
}

const stateOf = async (id: string): Promise<string> => (await engine().inspect(id)).State.Status;

/** Runs these passes in turn until the condition holds; every run of them. */
async function until(jobs: readonly string[], done: (run: PassRun) => boolean): Promise<readonly PassRun[]> {
  const runs: PassRun[] = [];
  while (runs.length < 40) {
    const run = await scene.passWhileContainersChange([jobs[runs.length % jobs.length] ?? 'sample']);
    runs.push(run);
    if (done(run)) return runs;
  }
  throw new Error(`never: ${JSON.stringify(runs.at(-1)?.report.decisions)}`);
}

/** Burns one core inside a container, seen from outside, until it is told to stop. */
async function burn(id: string): Promise<{ end(): Promise<void> }> {
  const exec = async (...cmd: string[]): Promise<void> => {
    const { Id } = await engine().api('POST', `/containers/${id}/exec`, { Cmd: cmd }) as { Id: string };
    await engine().api('POST', `/exec/${Id}/start`, { Detach: true });
  };
  await exec('sh', '-c', 'echo $$ > /burning; while :; do :; done');
  return { end: () => exec('sh', '-c', 'kill -9 $(cat /burning)') };
}

describe('an idle container', () => {
  it('is warned, warned for the last time and stopped, each in a pass of its own, and never removed (S12)', async () => {
    scene = openScene(engine(), { gpus: 2, ...limits() });
    const id = await scene.computing(0, { name: 'idle', gpus: [scene.uuid(0)], labels: { 'gpuctl.owner': 'alice' } });
    const runs = await until(['sample', 'check-idle'], (run) => told(run, id).includes('idle.stopped'));
    expect(runs.map((run) => told(run, id)).filter((each) => each.length > 0)).toEqual([['idle.warned'], ['idle.final'], ['idle.stopped']]);
    const last = runs.at(-1);
    expect(last?.report).toMatchObject({ job: 'check-idle', outcomes: [{ result: 'done' }] });
    expect(eventsOf(last as PassRun, 'container.idle.stopped')).toMatchObject([{ 'event.reason': 'idle-limit', 'event.outcome': 'success', 'user.name': 'alice', 'container.name': 'idle' }]);
    expect(await stateOf(id)).toBe('exited');
    const warning = runs.flatMap((run) => eventsOf(run, 'container.idle.warned'))[0];
    expect(String(warning?.['message'])).toMatch(/idle for \d s; the limit is 3 s\. .* at the earliest at \d{4}-\d\d-\d\d \d\d:20 UTC\. .*gpuctl keep idle/);
  });

  it('is never stopped by the sampler, which says that it waits', async () => {
    scene = openScene(engine(), { gpus: 2, ...limits() });
    const id = await scene.computing(0, { gpus: [scene.uuid(0)] });
    const runs = await until(['sample'], (run) => decisionOn(run, id)?.reason === 'awaits-stop');
    expect(runs.flatMap((run) => told(run, id))).toEqual(['idle.warned', 'idle.final']);
    expect(await stateOf(id)).toBe('running');
  });

  it('has idle time from its last activity on: while it works it is active, and afterwards it is warned anew (S12)', async () => {
    scene = openScene(engine(), { gpus: 2, ...limits() });
    const id = await scene.computing(0, { gpus: [scene.uuid(0)] });
    await until(['sample'], (run) => told(run, id).includes('idle.final'));
    const work = await burn(id);
    await delay(700);
    expect(decisionOn(await scene.pass(['check-idle']), id)).toMatchObject({ verdict: 'leave', reason: 'active' });
    await work.end();
    const runs = await until(['check-idle'], (run) => told(run, id).includes('idle.stopped'));
    expect(runs.flatMap((run) => told(run, id))).toEqual(['idle.warned', 'idle.final', 'idle.stopped']);
  });

  it('on two GPUs is active as long as one of them is busy (S11)', async () => {
    scene = openScene(engine(), { gpus: 4, ...limits() });
    const id = await scene.computing(0, { gpus: [scene.uuid(0), scene.uuid(1)] });
    scene.host.listOn(1, await engine().initPid(id));
    scene.host.updateGpu(1, (gpu) => { gpu.utilization = 90; });
    for (let n = 0; n < 4; n += 1) expect(['active', 'too-few-samples']).toContain(decisionOn(await scene.pass(['sample']), id)?.reason);
    scene.host.updateGpu(1, (gpu) => { gpu.utilization = 0; });
    await until(['sample'], (run) => told(run, id).includes('idle.warned'));
  });

  it('has a fresh clock after a restart, and so has its successor of the same name (S13)', async () => {
    scene = openScene(engine(), { gpus: 2, ...limits() });
    const id = await scene.computing(0, { name: 'again', gpus: [scene.uuid(0)] });
    await until(['sample'], (run) => told(run, id).includes('idle.final'));
    await engine().stop(id);
    await engine().start(id);
    expect(decisionOn(await scene.pass(['check-idle']), id)).toMatchObject({ reason: 'too-few-samples' });
    await until(['sample'], (run) => told(run, id).includes('idle.final'));
    await engine().rm(id);
    const successor = await scene.computing(0, { name: 'again', gpus: [scene.uuid(0)] });
    expect(decisionOn(await scene.pass(['check-idle']), successor)).toMatchObject({ reason: 'too-few-samples' });
  });

  it('that shares a GPU with a busy one is idle where the driver tells who uses it, and is stopped; the busy one is not', async () => {
    scene = openScene(engine(), { gpus: 2, ...limits() });
    const [idle, busy] = [await scene.computing(0, { gpus: [scene.uuid(0)] }), await scene.computing(0, { gpus: [scene.uuid(0)] })];
    const use = (...percents: readonly (number | null)[]): void => { scene.host.updateGpu(0, (gpu) => { gpu.utilization = 90; for (const [at, percent] of percents.entries()) { const row = gpu.processes[at]; if (row !== undefined) row.smPercent = percent; } }); };
    const asked = (run: PassRun): number => run.calls.filter(({ kind }) => kind === 'pmon').length;
    expect(asked(await scene.pass(['sample']))).toBe(0);
    use(null, 88);
    for (let n = 0; n < 3; n += 1) {
      const run = await scene.pass(['sample']);
      expect([asked(run), decisionOn(run, busy)?.verdict, n > 0 ? decisionOn(run, idle)?.reason : 'active']).toEqual([1, 'leave', 'active']);
    }
    use(0, 88);
    const runs = await until(['sample', 'check-idle'], (run) => told(run, idle).includes('idle.stopped'));
    expect(runs.flatMap((run) => told(run, busy))).toEqual([]);
    expect([await stateOf(idle), await stateOf(busy)]).toEqual(['exited', 'running']);
  });

  it('is told of to its owner, on the terminal of his session', async () => {
    scene = openScene(engine(), { gpus: 2, ...limits({}, { notify: { owner: ['tty'] } }) });
    const session = await login(5, 'y');
    const id = await scene.computing(0, { name: 'mine', gpus: [scene.uuid(0)], labels: { 'gpuctl.owner': 'games' } });
    await until(['sample', 'check-idle'], (run) => told(run, id).includes('idle.stopped'));
    while (!session.shown().includes('It was stopped')) await once(session.child.stdout ?? session.child, 'data');
    expect(session.shown()).toMatch(/gpuctl: Your container mine on \S+ has been idle for .*gpuctl keep mine[^]*This is the last warning[^]*It was stopped; what it holds on disk is kept/);
  });

  it('is kept where it is protected, claims nothing, or its type has no limit, and told why (S9, S10)', async () => {
    scene = openScene(engine(), { gpus: 8, ...limits({}, { limits: { trust_labels: ['type'], default: { idle_timeout: '3s', idle_checks: 2, max_runtime: 'never', stop_grace: '1s' }, types: { api: { idle_timeout: 'never' } } } }) });
    const shielded = await scene.computing(0, { gpus: [scene.uuid(0)], labels: { 'ds01.protected': 'true', 'gpuctl.owner': 'mallory' } });
    const api = await scene.computing(1, { gpus: [scene.uuid(1)], labels: { 'gpuctl.type': 'api' } });
    const plain = await engine().run();
    const runs = await until(['check-idle'], (run) => told(run, shielded).includes('kept'));
    const last = runs.at(-1) as PassRun;
    expect([shielded, api, plain].map((id) => decisionOn(last, id)?.reason)).toEqual(['protected', 'limit-never', 'not-managed']);
    expect(last.report.findings).toContainEqual(expect.objectContaining({ id: 'container.protected.past_limit', severity: 'warning', subject: { container: shielded, owner: 'mallory' } }));
    expect(last.exitCode).toBe(1);
    expect(await Promise.all([shielded, api, plain].map(stateOf))).toEqual(['running', 'running', 'running']);
  });

  it('of an exempt owner gets one notice and is never stopped; an exemption that has ended affects nobody, and one that is malformed only itself (S14)', async () => {
    const exemptions = [{ user: 'carol', from: ['idle_timeout'], reason: 'thesis', until: '2099-01-01' }, { user: 'bob', from: ['idle_timeout'], reason: 'old', until: '2020-01-01' }, { user: 'bob', from: ['idle_timeout'], reason: 'no date', until: 'soon' }];
    scene = openScene(engine(), { gpus: 8, ...limits({}, { exemptions, limits: { trust_labels: ['owner'], default: { idle_timeout: '3s', idle_checks: 2, max_runtime: 'never', stop_grace: '1s' } } }) });
    const exempt = await scene.computing(0, { gpus: [scene.uuid(0)], labels: { 'gpuctl.owner': 'carol' } });
    const ended = await scene.computing(1, { gpus: [scene.uuid(1)], labels: { 'gpuctl.owner': 'bob' } });
    const runs = await until(['check-idle'], (run) => told(run, ended).includes('idle.stopped'));
    const notices = runs.flatMap((run) => run.report.decisions.filter((each) => each.verb === 'warn' && each.verdict === 'act' && each.reason === 'exempt'));
    expect(notices).toHaveLength(1);
    expect([await stateOf(exempt), await stateOf(ended)]).toEqual(['running', 'exited']);
  });

  it('that a label keeps is deferred, and stopped when all the time that is allowed is spent (S14)', async () => {
    scene = openScene(engine(), { gpus: 2, ...limits({ keep_alive_max: '6s' }) });
    const id = await scene.computing(0, { gpus: [scene.uuid(0)], labels: { 'gpuctl.keep_until': '2099-01-01T00:00:00Z' } });
    const kept = await until(['check-idle'], (run) => decisionOn(run, id)?.reason === 'kept-alive');
    expect(kept.flatMap((run) => told(run, id)).filter((each) => each.startsWith('idle'))).toEqual([]);
    const runs = await until(['check-idle'], (run) => told(run, id).includes('idle.stopped'));
    expect(decisionOn(runs.at(-1) as PassRun, id)?.evidence).toHaveProperty('keepAliveSpent');
  });

  it('is only reported where no file sets limits', async () => {
    scene = openScene(engine(), { gpus: 2, config: { idle: { young_container_grace: '0s' } } });
    const [created, id] = [await engine().create({ gpus: [scene.uuid(1)] }), await engine().create({ gpus: [scene.uuid(0)] })];
    hadFirstPassAt(scene.host, Date.now() - 48 * HOUR_MS);
    await createdAgo(engine(), [[created, 2 * HOUR_MS], [id, 31 * HOUR_MS]]);
    await engine().start(id);
    scene.host.listOn(0, await engine().initPid(id));
    firstStartedAt(scene, id, Date.now() - 30 * HOUR_MS);
    const [runtime, cleanup] = [await scene.pass(['enforce-runtime']), await scene.pass(['cleanup-containers'])];
    expect(decisionOn(runtime, id)).toMatchObject({ verb: 'stop', verdict: 'refuse', reason: 'limits-not-configured' });
    expect(decisionOn(cleanup, created)).toMatchObject({ verb: 'remove', verdict: 'refuse', reason: 'limits-not-configured' });
    expect([runtime.exitCode, cleanup.exitCode, await stateOf(created)]).toEqual([0, 0, 'created']);
  });
});

/** Stops the engine hard, makes created containers older in its own files, and starts it again. */
async function createdAgo(on: Engine, ages: readonly (readonly [id: string, ageMs: number])[]): Promise<void> {
  await on.crash();
  for (const [id, ageMs] of ages) {
    const file = join(on.sandbox.dir, 'gen0', 'data', 'containers', id, 'config.v2.json');
    const config = JSON.parse(readFileSync(file, 'utf8')) as object;
    writeFileSync(file, JSON.stringify({ ...config, Created: new Date(Date.now() - ageMs).toISOString() }));
  }
  await on.restart();
}

/** As if gpuctl had seen the container start then. */
function firstStartedAt({ host }: Scene, id: string, startedAt: number): void {
  const ledger = openLedger({ file: join(host.stateDir, 'ledger.db'), now: Date.now, mode: 'write' });
  const seen = { inspected: true, id, name: '', image: '', state: 'running', pid: 1, createdAt: startedAt, startedAt, finishedAt: null, labels: {}, env: [], runtime: null, privileged: false, deviceRequests: [], deviceNodes: [], bindSources: [], mountTargets: [], effectiveVisibleDevices: null } as const;
  ledger.recordObservation({ kind: 'docker', engineId: engine().id, version: null, containers: [seen], answers: [] }, [], new Map(), startedAt);
  ledger.close();
}

describe('at its runtime limit', () => {
  it('a container is warned, warned for the last time and stopped, with its grace, however busy it is (S10)', async () => {
    scene = openScene(engine(), { gpus: 2, ...limits({ idle_timeout: 'never', max_runtime: '3s' }) });
    hadFirstPassAt(scene.host, Date.now() - HOUR_MS);
    const id = await scene.computing(0, { gpus: [scene.uuid(0)], labels: { 'gpuctl.type': 'api' }, cmd: ['sh', '-c', 'trap "" TERM; while :; do :; done'] });
    const runs = await until(['enforce-runtime'], (run) => told(run, id).includes('runtime.stopped'));
    expect(runs.map((run) => told(run, id)).filter((each) => each.length > 0)).toEqual([['runtime.warned'], ['runtime.final'], ['runtime.stopped']]);
    expect(await stateOf(id)).toBe('exited');
  });

  it('the time of all its runs counts, unless the configuration says otherwise', async () => {
    scene = openScene(engine(), { gpus: 2, ...limits({ idle_timeout: 'never', max_runtime: '2s' }) });
    hadFirstPassAt(scene.host, Date.now() - HOUR_MS);
    const id = await scene.computing(0, { gpus: [scene.uuid(0)] });
    await scene.pass(['sample']);
    await delay(1500);
    await engine().stop(id);
    await engine().start(id);
    expect(decisionOn(await scene.pass(['enforce-runtime']), id)).toMatchObject({ verb: 'warn', verdict: 'act' });
    scene.host.configure({ runtime: { counts: 'since-last-start' }, limits: { default: { max_runtime: '1h' } } });
    expect(decisionOn(await scene.pass(['enforce-runtime']), id)).toMatchObject({ verdict: 'leave', reason: 'within-limit' });
  });

  it('a container that crashes and starts again for ever is stopped all the same', async () => {
    scene = openScene(engine(), { gpus: 2, ...limits({ idle_timeout: 'never', max_runtime: '2s' }) });
    hadFirstPassAt(scene.host, Date.now() - HOUR_MS);
    const id = await engine().run({ gpus: [scene.uuid(0)], cmd: ['sh', '-c', 'exit 1'], hostConfig: { RestartPolicy: { Name: 'always' } } });
    const runs = await until(['enforce-runtime'], (run) => told(run, id).includes('runtime.stopped'));
    expect(runs.map((run) => told(run, id)).filter((each) => each.length > 0)).toEqual([['runtime.warned'], ['runtime.final'], ['runtime.stopped']]);
    expect(runs.at(-1)?.report.outcomes).toMatchObject([{ result: 'done' }]);
    await delay(1000);
    expect(await stateOf(id)).toBe('exited');
  });

  it('a container that starts again in the middle of the pass is looked at anew, and stopped in its new run', async () => {
    scene = openScene(engine(), { gpus: 2, ...limits({ idle_timeout: 'never', max_runtime: '2s' }) });
    hadFirstPassAt(scene.host, Date.now() - HOUR_MS);
    const proxy = await engineProxy({ sandbox: scene.host.sandbox, target: engine().socketPath });
    scene.host.configure({ engine: { host: proxy.host, timeout: '5s' } });
    const id = await scene.computing(0, { gpus: [scene.uuid(0)] });
    await until(['enforce-runtime'], (run) => told(run, id).includes('runtime.final'));
    await delay(1000);
    let looked = 0;
    proxy.rules = [{ path: new RegExp(`containers/${id}/json`), before: async () => { looked += 1; if (looked === 2) { await engine().stop(id); await engine().start(id); } } }];
    const run = await scene.passWhileContainersChange(['enforce-runtime']);
    expect(run.report.outcomes).toMatchObject([{ result: 'done' }]);
    expect(looked).toBeGreaterThan(3);
    expect([told(run, id), await stateOf(id)]).toEqual([['runtime.stopped'], 'exited']);
    await proxy.close();
  });
});

describe('clocks and boots', () => {
  const GPUCTL = join(import.meta.dirname, '..', '..', 'bin', 'gpuctl');
  const under = (offset: string): readonly string[] => ['env', 'FAKETIME_DONT_FAKE_MONOTONIC=1', 'faketime', '-f', offset, GPUCTL];

  it('a wall clock a day ahead for three passes, then an hour back, brings neither a warning nor a stop for runtime, and is told', async () => {
    scene = openScene(engine(), { gpus: 2, ...limits({ idle_timeout: 'never', max_runtime: '1h' }) });
    hadFirstPassAt(scene.host, Date.now() - HOUR_MS);
    const id = await scene.computing(0, { gpus: [scene.uuid(0)] });
    expect(decisionOn(await scene.pass(['enforce-runtime']), id)).toMatchObject({ reason: 'within-limit' });
    for (let n = 0; n < 3; n += 1) {
      const run = await scene.pass(['enforce-runtime'], { program: under('+1d') });
      expect(run.report.started_at > new Date(Date.now() + 23 * HOUR_MS).toISOString()).toBe(true);
      expect(decisionOn(run, id)).toMatchObject({ verdict: 'leave', reason: 'time-not-confirmed' });
      expect([told(run, id), run.exitCode]).toEqual([[], 1]);
      expect(run.report.findings.map((finding) => finding.id)).toContain('host.clock.jumped');
    }
    expect(decisionOn(await scene.pass(['enforce-runtime'], { program: under('-1h') }), id)).toMatchObject({ verdict: 'leave', reason: 'age-unknown' });
    expect(decisionOn(await scene.pass(['enforce-runtime']), id)).toMatchObject({ verdict: 'leave', reason: 'within-limit', evidence: { runtimeMs: expect.toSatisfy((ms: number) => ms < 120_000) } });
  });

  it('a boot between two samples begins idle time anew', async () => {
    scene = openScene(engine(), { gpus: 2, ...limits() });
    const id = await scene.computing(0, { gpus: [scene.uuid(0)] });
    await until(['sample'], (run) => decisionOn(run, id)?.reason === 'awaits-stop');
    const [bootId, uptime] = [join(scene.host.dir, 'boot_id'), join(scene.host.dir, 'uptime')];
    writeFileSync(bootId, '01234567-89ab-4cde-8f01-23456789abcd\n');
    writeFileSync(uptime, '2.00 1.00\n');
    const rebooted = ['unshare', '--mount', '--propagation', 'slave', 'sh', '-c', 'mount --bind "$1" /proc/sys/kernel/random/boot_id; mount --bind "$2" /proc/uptime; shift 2; exec "$@"', 'sh', bootId, uptime, GPUCTL];
    expect(decisionOn(await scene.pass(['check-idle'], { program: rebooted }), id)).toMatchObject({ verdict: 'leave', reason: 'too-few-samples' });
    expect(await stateOf(id)).toBe('running');
  });
});

describe('leftovers', () => {
  it('are removed when their time has passed, without force and with their volumes kept (S9)', async () => {
    scene = openScene(engine(), { gpus: 8, ...limits({ gpu_hold_after_stop: '1s', container_hold_after_stop: '8s' }, { leftovers: { created_timeout: '8s' } }) });
    hadFirstPassAt(scene.host, Date.now() - HOUR_MS);
    const stopped = await scene.stopped({ name: 'stopped', gpus: [scene.uuid(0)], hostConfig: { Mounts: [{ Type: 'volume', Source: 'kept', Target: '/data' }] } });
    const created = await engine().create({ gpus: [scene.uuid(1)] });
    const shielded = await engine().create({ gpus: [scene.uuid(2)], labels: { 'gpuctl.protected': 'true' } });
    const plain = await scene.stopped({ name: 'plain' });
    const live = await scene.computing(3, { gpus: [scene.uuid(3)] });
    const early = await scene.pass(['cleanup-containers']);
    expect(decisionOn(early, stopped)?.reason).toBe('within-hold');
    await delay(8000);
    const run = await scene.passWhileContainersChange(['cleanup-containers']);
    expect(eventsOf(run, 'container.removed').map((event) => [event['container.id'], event['event.reason']]).toSorted()).toEqual([[stopped, 'stopped-leftover'], [created, 'created-leftover']].toSorted());
    const left = (await engine().api('GET', '/containers/json?all=true') as { Id: string }[]).map(({ Id }) => Id);
    expect(left.toSorted()).toEqual([shielded, plain, live].toSorted());
    expect(decisionOn(run, shielded)).toMatchObject({ reason: 'protected' });
    expect(decisionOn(run, plain)).toMatchObject({ reason: 'not-managed' });
    expect((await engine().api('GET', '/volumes') as { Volumes: { Name: string }[] }).Volumes.map(({ Name }) => Name)).toContain('kept');
    const { json } = await scene.host.gpuctl(['allocations', '--all', '--json']);
    expect((json as { container: { id: string }; release_reason: string | null }[]).filter(({ container }) => container.id === stopped).map(({ release_reason }) => release_reason)).not.toContain(null);
  });

  it('that never had a device go only where the configuration says all', async () => {
    scene = openScene(engine(), { gpus: 1, ...limits({ gpu_hold_after_stop: 0, container_hold_after_stop: '1s' }, { leftovers: { all: true } }) });
    hadFirstPassAt(scene.host, Date.now() - HOUR_MS);
    const plain = await scene.stopped({ name: 'plain' });
    await delay(1100);
    expect(told(await scene.passWhileContainersChange(['cleanup-containers']), plain)).toEqual(['removed']);
  });

  it('are recognised when only a process of theirs ever held a device', async () => {
    scene = openScene(engine(), { gpus: 1, ...limits({ gpu_hold_after_stop: 0, container_hold_after_stop: '1s' }) });
    hadFirstPassAt(scene.host, Date.now() - HOUR_MS);
    const id = await scene.computing(0, { name: 'by-process' });
    await scene.pass(['sample']);
    await engine().stop(id);
    await delay(1100);
    expect(told(await scene.passWhileContainersChange(['cleanup-containers']), id)).toEqual(['removed']);
  });
});

describe('between the decision and the act', () => {
  async function behindProxy(given: ReturnType<typeof limits>): Promise<EngineProxy> {
    scene = openScene(engine(), { gpus: 4, ...given });
    const proxy = await engineProxy({ sandbox: scene.host.sandbox, target: engine().socketPath });
    scene.host.configure({ engine: { host: proxy.host, timeout: '2s' } });
    return proxy;
  }

  /** An idle container to which both warnings were given, so that the next check stops it. */
  async function doomed(): Promise<string> {
    const id = await scene.computing(0, { gpus: [scene.uuid(0)] });
    await until(['sample'], (run) => decisionOn(run, id)?.reason === 'awaits-stop');
    return id;
  }

  /** Runs something before the n-th inspect of this container in the next pass: the first is the decision's, the second the act's. */
  const beforeInspect = (id: string, n: number, before: () => Promise<void>): void => { let count = 0; proxyOf.rules = [{ path: new RegExp(`containers/${id}/json`), before: async () => { count += 1; if (count === n) await before(); } }]; };
  let proxyOf: EngineProxy;

  it('a container that restarted is left (S16)', async () => {
    proxyOf = await behindProxy(limits());
    const id = await doomed();
    beforeInspect(id, 2, async () => { await engine().stop(id); await engine().start(id); });
    const run = await scene.passWhileContainersChange(['check-idle']);
    expect(run.report.outcomes).toMatchObject([{ result: 'refused', reason: 'restarted' }]);
    expect([run.exitCode, await stateOf(id), told(run, id)]).toEqual([4, 'running', ['kept']]);
    await proxyOf.close();
  });

  it('a container that vanished needs nothing any more, and the pass goes on (S16)', async () => {
    proxyOf = await behindProxy(limits());
    const id = await doomed();
    beforeInspect(id, 2, () => engine().rm(id));
    const run = await scene.passWhileContainersChange(['check-idle']);
    expect(run.report.outcomes).toMatchObject([{ result: 'already-gone', reason: 'gone' }]);
    expect(run.exitCode).toBe(0);
    await proxyOf.close();
  });

  it('a leftover that was started is not removed, not even at the last moment (S16)', async () => {
    proxyOf = await behindProxy(limits({ gpu_hold_after_stop: 0, container_hold_after_stop: '1s' }));
    hadFirstPassAt(scene.host, Date.now() - HOUR_MS);
    const [one, two] = [await scene.stopped({ gpus: [scene.uuid(0)] }), await scene.stopped({ gpus: [scene.uuid(1)] })];
    await delay(1100);
    let looked = 0;
    proxyOf.rules = [
      { path: new RegExp(`containers/${one}/json`), before: async () => { looked += 1; if (looked === 2) await engine().start(one); } },
      { method: 'DELETE', path: new RegExp(`containers/${two}`), before: () => engine().start(two) },
    ];
    const run = await scene.passWhileContainersChange(['cleanup-containers']);
    expect(run.report.outcomes).toMatchObject([{ result: 'refused', reason: 'still-running' }, { result: 'refused', reason: 'still-running' }]);
    expect([run.exitCode, await stateOf(one), await stateOf(two)]).toEqual([4, 'running', 'running']);
    expect(proxyOf.requests.filter((line) => line.startsWith('DELETE'))).toEqual([expect.stringContaining('force=false&v=false')]);
    await proxyOf.close();
  });

  it('an engine that never answers the stop ends at its deadline; the act has failed, and the next pass goes on', async () => {
    proxyOf = await behindProxy(limits());
    const id = await doomed();
    proxyOf.rules = [{ method: 'POST', path: /\/stop/, times: 1, answer: 'hang' }];
    const run = await scene.passWhileContainersChange(['check-idle']);
    expect(run.report.outcomes).toMatchObject([{ result: 'failed', detail: expect.stringContaining('no whole answer within 3000 ms') }]);
    expect(eventsOf(run, 'container.idle.stopped')).toMatchObject([{ 'event.outcome': 'failure', 'gpuctl.alert': true }]);
    expect([run.exitCode, await stateOf(id)]).toEqual([4, 'running']);
    expect(told(await scene.passWhileContainersChange(['check-idle']), id)).toEqual(['idle.stopped']);
    await proxyOf.close();
  });
});

describe('more stops than the budget', () => {
  it('trip the breaker: none is done, and an alert says so', async () => {
    scene = openScene(engine(), { gpus: 8, ...limits({}, { breaker: { stops: [2, '10%'] } }) });
    const ids: string[] = [];
    for (let n = 0; n < 4; n += 1) ids.push(await scene.computing(n, { gpus: [scene.uuid(n)] }));
    await until(['sample'], (run) => ids.every((id) => decisionOn(run, id)?.reason === 'awaits-stop'));
    const run = await scene.pass(['check-idle']);
    expect(eventsOf(run, 'breaker.tripped')).toMatchObject([{ 'gpuctl.verb': 'stop', 'gpuctl.wanted': 4, 'gpuctl.allowed': 2, 'gpuctl.alert': true }]);
    expect(ids.map((id) => decisionOn(run, id)?.reason)).toEqual(ids.map(() => 'over-budget'));
    expect(run.report.outcomes).toEqual([]);
  });
});

describe('a dry run', () => {
  it('shows the plan, writes nothing, and stops nothing', async () => {
    scene = openScene(engine(), { gpus: 2, ...limits() });
    const id = await scene.computing(0, { gpus: [scene.uuid(0)] });
    await until(['sample'], (run) => decisionOn(run, id)?.reason === 'awaits-stop');
    const plan = await scene.pass(['check-idle', '--dry-run']);
    expect(decisionOn(plan, id)).toMatchObject({ verb: 'stop', verdict: 'act', reason: 'idle-limit' });
    expect([plan.exitCode, plan.report.outcomes, plan.events]).toEqual([0, [], []]);
  });
});

describe('what is not known', () => {
  it('stops nobody: neither a driver that fails, nor one that leaves out the list of the device', async () => {
    scene = openScene(engine(), { gpus: 2, ...limits() });
    const id = await scene.computing(0, { gpus: [scene.uuid(0)] });
    await until(['sample'], (run) => decisionOn(run, id)?.reason === 'awaits-stop');
    scene.host.fault({ kind: 'swallow-processes', error: '[Unknown Error]', gpu: scene.uuid(0) });
    expect(decisionOn(await scene.pass(['check-idle']), id)).toMatchObject({ verdict: 'leave', reason: 'activity-unknown' });
    scene.host.clearFaults();
    scene.host.fault({ kind: 'exit', code: 9 });
    expect(decisionOn(await scene.pass(['check-idle']), id)).toMatchObject({ verdict: 'leave', reason: 'claims-unknown' });
    expect(await stateOf(id)).toBe('running');
  });
});
