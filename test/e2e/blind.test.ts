import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { engineProxy, type EngineProxy, type ProxyRule } from '../hostsim/engine-proxy.ts';
import type { Orphan } from '../hostsim/orphans.ts';
import type { Fault } from '../hostsim/world.ts';
import { isSameAndAlive } from './recorder.ts';
import { changesIn, deviceOf, eventsOf, openScene, releasesIn, useEngine, withContainersUntouched, type PassRun, type Scene } from './scene.ts';

const engine = useEngine();

/** A host with something to do of every kind: a stale allocation, an orphan, a GPU that asks for a reset. */
interface Busy {
  readonly scene: Scene;
  readonly proxy: EngineProxy;
  readonly orphan: Orphan;
  readonly stale: string;
}

async function openBusyHost(): Promise<Busy> {
  const scene = openScene(engine(), { gpus: [{}, { recovery: 'Reset' }], config: { engine: { timeout: '1s' }, nvidia_smi: { timeout: '1s' } } });
  const proxy = await engineProxy({ sandbox: scene.host.sandbox, target: engine().socketPath });
  const orphan = await scene.orphan(0, { leavesMiB: 8000 });
  const stale = await scene.stopped({ name: 'stale', gpus: [scene.uuid(1)] });
  await engine().run({ name: 'live', labels: { 'gpuctl.owner': 'alice' } });
  scene.host.configure({ engine: { host: proxy.host } });
  expect((await scene.pass(['sample'])).exitCode).toBe(1);
  scene.host.configure({ engine: { host: proxy.host }, limits: { default: { gpu_hold_after_stop: '0' } } });
  return { scene, proxy, orphan, stale };
}

/** Nobody was signalled, no device was reset. */
function expectNothingEnded({ orphan }: Busy, run: PassRun): void {
  expect([isSameAndAlive(orphan), changesIn(run.calls)]).toEqual([true, []]);
  expect(run.report.outcomes.map(({ decision }) => run.report.decisions[decision]?.verb).filter((verb) => verb !== 'release')).toEqual([]);
}

describe('an engine that cannot be asked', () => {
  let busy: Busy;
  beforeAll(async () => { busy = await openBusyHost(); });
  afterAll(() => busy.scene.dispose());

  const list = /containers\/json/;
  const inspect = /containers\/[0-9a-f]{64}\/json/;
  it.each<[string, string, ProxyRule]>([
    ['fails at the list', 'error', { path: list, answer: { status: 500 } }],
    ['cuts the list off', 'malformed', { path: list, answer: { truncateAt: 40 } }],
    ['answers the list with something else', 'malformed', { path: list, answer: { status: 200, body: '<html>busy</html>' } }],
    ['answers with a list of nothing known', 'malformed', { path: list, answer: { status: 200, body: '[{}]' } }],
    ['hangs at the list', 'timeout', { path: list, answer: 'hang' }],
    ['hangs up', 'malformed', { path: /./, answer: 'close' }],
    ['does not tell who it is', 'error', { path: /info/, answer: { status: 500 } }],
  ])('gets nothing released, ended or reset: it %s (S7)', async (_, reason, rule) => {
    busy.proxy.rules = [rule];
    const run = await busy.scene.pass(['release-stale']);
    busy.proxy.rules = [];
    expectNothingEnded(busy, run);
    expect([run.exitCode, run.report.observed.engine, run.report.outcomes]).toEqual([3, 'failed', []]);
    expect(eventsOf(run, 'observe.failed')).toMatchObject([{ 'gpuctl.source': 'engine', 'gpuctl.alert': true, 'log.level': 'error', 'event.reason': reason }]);
  });

  it('gets nothing released, ended or reset: there is none (S7)', async () => {
    busy.scene.host.configure({ engine: { host: `unix://${busy.scene.host.dir}/nobody.sock` }, limits: { default: { gpu_hold_after_stop: '0' } } });
    const run = await busy.scene.pass(['release-stale']);
    busy.scene.host.configure({ engine: { host: busy.proxy.host }, limits: { default: { gpu_hold_after_stop: '0' } } });
    expectNothingEnded(busy, run);
    expect([run.exitCode, run.report.outcomes]).toEqual([3, []]);
    expect(eventsOf(run, 'observe.failed')).toMatchObject([{ 'gpuctl.source': 'engine', 'event.reason': 'not-installed' }]);
  });

  it('gets nothing released, ended or reset: it is stopped in the middle of its life (S7)', async () => {
    const run = await withContainersUntouched(engine(), async () => {
      engine().hang();
      try {
        return await busy.scene.passWhileContainersChange(['release-stale']);
      } finally {
        engine().resume();
      }
    });
    expectNothingEnded(busy, run);
    expect([run.exitCode, run.report.outcomes]).toEqual([3, []]);
    expect(eventsOf(run, 'observe.failed')).toMatchObject([{ 'gpuctl.source': 'engine', 'event.reason': 'timeout' }]);
    const [started, ended] = [Date.parse(run.report.started_at), Date.parse(run.report.ended_at)];
    expect(ended - started).toBeLessThan(10_000);
  });

  it('gets no GPU reset where it does not describe one container, which may claim any (S7)', async () => {
    const { scene, proxy, stale } = busy;
    proxy.rules = [{ path: new RegExp(`containers/${stale}/json`), answer: { status: 500 } }];
    const run = await scene.pass(['release-stale']);
    proxy.rules = [];
    expect([run.exitCode, run.report.observed.engine, changesIn(run.calls)]).toEqual([1, 'partial', []]);
    expect(await releasesIn(scene.host)).toMatchObject({ [stale]: null });
    expect(eventsOf(run, 'observe.partial')).toMatchObject([{ 'gpuctl.source': 'engine', 'gpuctl.alert': true, 'gpuctl.missing': [{ subject: stale }] }]);
    expect(eventsOf(run, 'gpu.reset.withheld').find((event) => event['gpu.uuid'] === scene.uuid(1))?.['gpuctl.blockers']).toMatchObject([{ kind: 'uninspected-container', what: expect.stringContaining('stale') as string }]);
  });

  it('is worked with again as soon as it answers', async () => {
    const { scene, orphan, stale } = busy;
    const run = await scene.pass(['release-stale']);
    expect([isSameAndAlive(orphan), await releasesIn(scene.host)]).toMatchObject([false, { [stale]: 'no-hold' }]);
    expect(scene.host.world().resets.map(({ gpu }) => gpu).toSorted()).toEqual([scene.uuid(0), scene.uuid(1)]);
    expect(deviceOf(run, scene.uuid(1)).verdict).toBe('clean');
  });

  it('is asked for one container by its full id only', () => {
    const asked = busy.proxy.requests.filter((line) => /containers\//.test(line) && !list.test(line));
    expect(asked.length).toBeGreaterThan(0);
    expect(asked.filter((line) => !inspect.test(line))).toEqual([]);
  });
});

describe('an nvidia-smi that cannot be believed', () => {
  let busy: Busy;
  beforeAll(async () => { busy = await openBusyHost(); });
  afterAll(() => busy.scene.dispose());

  const failureText = 'NVIDIA-SMI has failed because it couldn\'t communicate with the NVIDIA driver.\n';
  it.each<[string, Fault]>([
    ['hangs', { kind: 'hang', style: 'ignores-term' }],
    ['hangs and cannot be got rid of', { kind: 'hang', style: 'unreapable' }],
    ['prints garbage', { kind: 'print', text: '\u0000\u001b[2J%PDF <<<>>>' }],
    ['prints nothing', { kind: 'print', text: '' }],
    ['prints an error text and exits 0', { kind: 'print', text: failureText }],
    ['prints an error text in place of the XML alone', { kind: 'print', text: failureText, on: ['xml'] }],
    ['finds no driver', { kind: 'exit', code: 9 }],
    ['is cut off in the middle of the XML', { kind: 'truncate', bytes: 9000, on: ['xml'] }],
    ['swallows the process lists', { kind: 'swallow-processes', error: '[Insufficient Permissions]' }],
    ['cannot tell the compute processes', { kind: 'compute-apps-error', error: '[Unknown Error]' }],
  ])('gets nothing ended or reset: it %s (S7)', async (_, fault) => {
    busy.scene.host.fault(fault);
    const run = await busy.scene.pass(['release-stale']);
    busy.scene.host.clearFaults();
    expectNothingEnded(busy, run);
    const told = [...eventsOf(run, 'observe.failed'), ...eventsOf(run, 'observe.partial')];
    expect(told).toMatchObject([{ 'gpuctl.source': 'nvidia-smi', 'gpuctl.alert': true }]);
    expect([run.exitCode, run.report.devices.filter(({ verdict }) => verdict === 'clean')]).toEqual([3, []]);
  });

  it('is not called again in a pass in which it hung (S7)', async () => {
    busy.scene.host.fault({ kind: 'hang', style: 'unreapable' });
    const run = await busy.scene.pass(['release-stale']);
    busy.scene.host.clearFaults();
    expect(run.calls).toHaveLength(1);
  });

  describe('of one GPU', () => {
    beforeAll(() => { busy.scene.host.updateGpu(1, (gpu) => { gpu.recovery = 'None'; }); });

    it.each<[string, (uuid: string) => Fault, string | undefined]>([
      ['drops it', (gpu) => ({ kind: 'drop-gpu', gpu }), undefined],
      ['swallows its process list', (gpu) => ({ kind: 'swallow-processes', error: '[Insufficient Permissions]', gpu }), 'unknown'],
      ['contradicts itself about it', (gpu) => ({ kind: 'disagree', hideFrom: 'xml', gpu }), 'unknown'],
      ['has lost it', (gpu) => ({ kind: 'sick-gpu', gpu, error: 'lost', style: 'property' }), undefined],
    ])('gets nothing ended or reset on it, and does not get it called clean: it %s (S7)', async (_, fault, verdict) => {
      const { scene } = busy;
      scene.host.fault(fault(scene.uuid(0)));
      const run = await scene.pass(['release-stale']);
      scene.host.clearFaults();
      expectNothingEnded(busy, run);
      expect(eventsOf(run, 'observe.partial')).toMatchObject([{ 'gpuctl.source': 'nvidia-smi', 'gpuctl.alert': true }]);
      expect(run.exitCode).toBe(1);
      expect(run.report.devices.map((device) => [device.uuid, device.verdict])).toEqual([...(verdict === undefined ? [] : [[scene.uuid(0), verdict]]), [scene.uuid(1), 'clean']]);
    });

    it('does not keep the others from being worked on', async () => {
      const { scene, orphan } = busy;
      scene.host.fault({ kind: 'swallow-processes', error: '[Insufficient Permissions]', gpu: scene.uuid(0) });
      scene.host.updateGpu(1, (gpu) => { gpu.recovery = 'Reset'; });
      const run = await scene.pass(['release-stale']);
      scene.host.clearFaults();
      expect([isSameAndAlive(orphan), changesIn(run.calls)]).toEqual([true, [['-r', '-i', scene.host.gpu(1).busId.toLowerCase()]]]);
    });
  });

  it('gets nothing ended or reset: it is not installed (S7)', async () => {
    busy.scene.host.removeSmi();
    const run = await busy.scene.pass(['release-stale']);
    expectNothingEnded(busy, run);
    expect(run.exitCode).toBe(3);
    expect(eventsOf(run, 'observe.failed')).toMatchObject([{ 'gpuctl.source': 'nvidia-smi', 'event.reason': 'not-installed' }]);
  });
});
