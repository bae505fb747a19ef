import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { Engine } from '../hostsim/dockerd.ts';
import { changesIn, deviceOf, eventsOf, hadFirstPassAt, openScene, releasesIn, useEngine, type PassRun, type Scene } from './scene.ts';

const engine = useEngine();
const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** Stops the engine hard, writes when these containers started and finished into its own files, and starts it again. */
async function finishedBefore(on: Engine, ageMsById: Readonly<Record<string, number>>): Promise<void> {
  await on.crash();
  for (const [id, ageMs] of Object.entries(ageMsById)) {
    const file = join(on.sandbox.dir, 'gen0', 'data', 'containers', id, 'config.v2.json');
    const config = JSON.parse(readFileSync(file, 'utf8')) as { State: Record<string, unknown> };
    const [FinishedAt, StartedAt] = [ageMs, ageMs + DAY_MS].map((age) => new Date(Date.now() - age).toISOString().replace('Z', '123456Z'));
    writeFileSync(file, JSON.stringify({ ...config, Created: StartedAt, State: { ...config.State, StartedAt, FinishedAt } }));
  }
  await on.restart();
}

describe('a pass over stopped containers', () => {
  let scene: Scene;
  let run: PassRun;
  let ids: Readonly<Record<'expired' | 'noHold' | 'kept' | 'removed' | 'live' | 'plain', string>>;
  let second: PassRun;

  beforeAll(async () => {
    scene = openScene(engine(), {
      gpus: 5,
      config: { limits: { trust_labels: ['owner'], default: { gpu_hold_after_stop: '1s' }, users: { bob: { gpu_hold_after_stop: 'never' } } } },
    });
    const { uuid, host } = scene;
    ids = {
      expired: await scene.stopped({ name: 'expired', gpus: [uuid(0)] }),
      noHold: await scene.stopped({ name: 'no-hold', gpus: [uuid(1)], labels: { 'gpuctl.type': 'api' } }),
      kept: await scene.stopped({ name: 'kept', gpus: [uuid(2)], labels: { 'gpuctl.owner': 'bob' } }),
      removed: await engine().run({ name: 'removed', gpus: [uuid(3)], labels: { 'gpuctl.owner': 'carol' } }),
      live: await scene.computing(4, { name: 'live', gpus: [uuid(4)] }),
      plain: await scene.stopped({ name: 'plain' }),
    };
    expect((await scene.pass(['sample'])).exitCode).toBe(0);
    const firstPassAt = Date.now();
    await engine().rm(ids.removed);
    await delay(Math.max(0, firstPassAt + 1001 - Date.now()));
    run = await scene.pass(['release-stale']);
    second = await scene.pass(['release-stale']);
    expect(host.calls('reset')).toEqual([]);
  });
  afterAll(() => scene.dispose());

  const releaseOf = (id: string): unknown => eventsOf(run, 'gpu.allocation.released').find((event) => event['container.id'] === id);

  it('releases what is past its hold, tells why, and finds the GPU clean, without a signal or a reset (S1)', () => {
    expect(releaseOf(ids.expired)).toMatchObject({ 'event.reason': 'hold-expired', 'gpu.uuid': scene.uuid(0), 'container.name': 'expired', 'event.outcome': 'success', 'gpuctl.alert': false });
    const actions = run.events.map((event) => (event['gpu.uuid'] === scene.uuid(0) ? `${String(event['event.action'])} ${String(event['gpu.verdict'] ?? '')}`.trim() : ''));
    expect(actions.filter(Boolean)).toEqual(['gpu.allocation.released', 'gpu.health_check clean']);
    expect(deviceOf(run, scene.uuid(0)).claims).toMatchObject([{ container: { id: ids.expired }, released: true }]);
    expect(changesIn(run.calls)).toEqual([]);
    expect(run.report.decisions.filter(({ verb, verdict }) => verdict === 'act' && verb !== 'release')).toEqual([]);
    expect(run.exitCode).toBe(0);
  });

  it('looks at the released GPU again after the release', () => {
    const released = Date.parse(String((releaseOf(ids.expired) as Record<string, unknown>)['@timestamp']));
    expect(run.calls.filter(({ kind, at }) => kind === 'xml' && Number(at) >= released).length).toBeGreaterThan(0);
  });

  it('releases at once what has no hold, and what was removed, and keeps what is held for ever or runs (S1)', async () => {
    expect(await releasesIn(scene.host)).toMatchObject({ [ids.expired]: 'hold-expired', [ids.noHold]: 'no-hold', [ids.kept]: null, [ids.live]: null });
    expect(releaseOf(ids.noHold)).toMatchObject({ 'event.reason': 'no-hold' });
    expect(releaseOf(ids.removed)).toMatchObject({ 'event.reason': 'gone', 'gpu.uuid': scene.uuid(3), 'user.name': 'carol' });
    expect(eventsOf(run, 'gpu.allocation.released')).toHaveLength(3);
  });

  it('releases a container of an unknown owner by the strict default limits (S15)', async () => {
    const shown = await scene.host.gpuctl(['config', 'show', '--container', 'expired', '--json']);
    expect(shown.json).toMatchObject({ subject: { owner: null, type: null } });
    const hold = (shown.json as { values: { key: string }[] }).values.find(({ key }) => key === 'gpu_hold_after_stop');
    expect(hold).toMatchObject({ value: '1s' });
    expect(run.report.decisions.find(({ target }) => target.kind === 'allocation' && target.containerId === ids.expired)).toMatchObject({ verdict: 'act', evidence: { owner: null } });
  });

  it('decides nothing about a stopped container that has no GPU (S15)', async () => {
    expect(JSON.stringify(run.report)).not.toContain(ids.plain);
    expect((await engine().inspect(ids.plain)).State.Status).toBe('exited');
  });

  it('tells a release once', () => {
    expect([second.exitCode, eventsOf(second, 'gpu.allocation.released')]).toEqual([0, []]);
  });

  it('lets the container hold its GPU anew when it is started again', async () => {
    await engine().start(ids.expired);
    const again = await scene.pass(['release-stale']);
    expect(deviceOf(again, scene.uuid(0)).claims.map(({ container, released }) => [container.id, container.state, released])).toContainEqual([ids.expired, 'running', false]);
    expect(await releasesIn(scene.host)).toMatchObject({ [ids.expired]: null });
  });
});

describe('a container that stopped a while ago', () => {
  const gpus = 4;
  let ids: readonly string[];

  beforeAll(async () => {
    const scene = openScene(engine(), { gpus });
    const owners = ['', '', 'bob', ''];
    ids = await Promise.all(owners.map((owner, index) => scene.stopped({ gpus: [scene.uuid(index)], ...(owner !== '' && { labels: { 'gpuctl.owner': owner } }) })));
    await scene.host.dispose();
    const ages = [14 * MINUTE_MS, 16 * MINUTE_MS, 30 * DAY_MS, 3 * DAY_MS];
    await finishedBefore(engine(), Object.fromEntries(ids.map((id, at) => [id, ages[at] ?? 0])));
  });
  afterAll(async () => { await openScene(engine()).dispose(); });

  const open = (): Scene => {
    const scene = openScene(engine(), { gpus, config: { limits: { trust_labels: ['owner'], users: { bob: { gpu_hold_after_stop: 'never' } } } } });
    onTestFinished(() => scene.host.dispose());
    return scene;
  };

  it.each(['America/Los_Angeles', 'Europe/Berlin', 'Pacific/Auckland'])('keeps its GPU for a quarter of an hour and not longer where the clock shows the time of %s (S2)', async (TZ) => {
    const scene = open();
    hadFirstPassAt(scene.host, Date.now() - 60 * DAY_MS);
    const run = await scene.pass(['release-stale'], { env: { TZ } });
    const [within = '', past = '', never = '', long = ''] = ids;
    expect(await releasesIn(scene.host)).toEqual({ [within]: null, [past]: 'hold-expired', [never]: null, [long]: 'hold-expired' });
    expect(eventsOf(run, 'gpu.allocation.released').every((event) => String(event['@timestamp']).endsWith('Z'))).toBe(true);
    expect([run.exitCode, changesIn(run.calls)]).toEqual([0, []]);
  });

  it('keeps its GPU for its hold after the first pass of gpuctl on the host, however long ago it stopped', async () => {
    const scene = open();
    const run = await scene.pass(['release-stale']);
    expect(Object.values(await releasesIn(scene.host))).toEqual([null, null, null, null]);
    expect(run.report.decisions.filter(({ verb }) => verb === 'release').map(({ reason }) => reason).toSorted()).toEqual(['hold-never', 'within-hold', 'within-hold', 'within-hold']);
  });
});
