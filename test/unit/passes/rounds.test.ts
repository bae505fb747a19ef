import { describe, expect, it } from 'vitest';
import { defaultConfig } from '../../../src/config/defaults.ts';
import type { PassOptions } from '../../../src/passes/pass.ts';
import { healthCheck } from '../../../src/passes/health-check.ts';
import { releaseStale } from '../../../src/passes/release-stale.ts';
import type { PassReport } from '../../../src/passes/report.ts';
import { runPass } from '../../../src/passes/run-pass.ts';
import { sample } from '../../../src/passes/sample.ts';
import { ExitCode, GpuctlError } from '../../../src/model/errors.ts';
import type { History } from '../../../src/model/history.ts';
import { read } from '../../../src/model/reading.ts';
import { type Bench, type BenchOptions, benchOf, type KeptAct, memoryLedger, passOptions } from '../../property/ports.ts';
import type { HostState } from '../../property/host.ts';
import { allocation, GONE, GPU0, GPU1, gpuState, historyOf, HOUR, hostOf, JOB, NOW, orphan, runningJob, stopped, STRANGE } from '../decide/good-case.ts';

interface Run {
  readonly report: PassReport;
  readonly bench: Bench;
}

async function run(host: Partial<HostState>, more: Partial<BenchOptions> & { readonly pass?: Partial<PassOptions>; readonly history_?: Partial<History>; readonly story?: typeof releaseStale } = {}): Promise<Run> {
  const { pass, history_ = {}, story = releaseStale, ...rest } = more;
  const bench = benchOf({ host: hostOf(host), history: historyOf(history_), config: defaultConfig(), now: NOW, ...rest });
  return { bench, report: await runPass(bench.parts, passOptions(pass), story) };
}

function acts({ bench }: Run): readonly string[] {
  return bench.acts.map((act) => (act.kind === 'signal' ? `${act.signal} ${act.target.pid}` : `reset ${act.target.pciBusId}`));
}

function outcomes({ report }: Run): readonly string[] {
  return report.outcomes.map(({ decision, result, reason }) => `${report.decisions[decision]?.verb} ${result} ${reason}`);
}

function events({ bench }: Run, action: string): Bench['events'] {
  return bench.events.filter((event) => event.action === action);
}

const dirty = gpuState(0, { recovery: read('reset') });
const asking = { deviceRequests: [{ driver: '', count: 0, deviceIds: ['0'], capabilities: [['gpu']] }] };

describe('release-stale', () => {
  it('releases what is stale, ends the orphan that is left, and resets the device that asks for it: each from a fresh look', async () => {
    const one = await run({ gpus: [dirty, gpuState(1)], containers: [stopped(asking)], processes: [orphan()] }, { history_: { allocations: [allocation()] } });
    expect(outcomes(one)).toEqual(['release done null', 'kill done null', 'reset done null']);
    expect(acts(one)).toEqual(['SIGTERM 4711', 'reset 00000000:10:00.0']);
    expect(one.report.exit).toBe(ExitCode.ok);
    expect(one.bench.calls.filter((call) => call === 'observer.observe').length).toBeGreaterThanOrEqual(4);
    expect(one.bench.ledger.history().allocations).toMatchObject([{ releasedAt: expect.any(Number) as number, releaseReason: 'hold-expired' }]);
    expect(one.bench.ledger.history().resets).toMatchObject([{ gpuUuid: GPU0, succeeded: true }]);
  });

  it('sends SIGKILL to what is left after the grace, and says what survived', async () => {
    expect(acts(await run({ processes: [orphan()] }, { stubborn: () => 'term' }))).toEqual(['SIGTERM 4711', 'SIGKILL 4711']);
    const survived = await run({ processes: [orphan()] }, { stubborn: () => 'kill' });
    expect(outcomes(survived)).toEqual(['kill failed stuck']);
    expect(survived.report.exit).toBe(ExitCode.actFailed);
    expect(events(survived, 'gpu.orphan.survived')).toHaveLength(1);
  });

  it('resets no device whose orphan survived', async () => {
    const one = await run({ gpus: [dirty, gpuState(1)], processes: [orphan()] }, { stubborn: () => 'kill' });
    expect(acts(one)).toEqual(['SIGTERM 4711', 'SIGKILL 4711']);
    expect(events(one, 'gpu.reset.withheld')).toHaveLength(1);
  });

  it('does not signal a process whose container starts in the grace of another signal', async () => {
    let asked = 0;
    const one = await run({ processes: [orphan()] }, {
      stubborn: () => 'term',
      // observe, observe, sleep, look, glance: the signal; then the grace begins.
      change: (host) => { asked += 1; return asked === 6 ? { ...host, oddAnswers: [{ id: GONE, answer: 'running' }] } : host; },
    });
    expect(acts(one)).toEqual(['SIGTERM 4711']);
    expect(outcomes(one)).toEqual(['kill refused looks-differ']);
    expect(one.report.exit).toBe(ExitCode.actFailed);
  });

  it('keeps the want of a reset that is blocked, tells every blocker, and withdraws it when the device is clean', async () => {
    const ledger = memoryLedger(historyOf());
    const host = { gpus: [dirty], containers: [runningJob(asking)] };
    const blocked = await run(host, { ledger });
    expect(events(blocked, 'gpu.reset.wanted')).toHaveLength(1);
    expect(events(blocked, 'gpu.reset.withheld')).toMatchObject([{ reason: 'shared', alert: true }]);
    expect(blocked.report.exit).toBe(ExitCode.findings);
    expect(ledger.history().resetWants).toMatchObject([{ gpuUuid: GPU0, reason: 'reset-asked' }]);
    expect(events(await run(host, { ledger, now: NOW + HOUR }), 'gpu.reset.wanted')).toEqual([]);
    await run({ gpus: [gpuState(0)] }, { ledger, now: NOW + 2 * HOUR });
    expect(ledger.history().resetWants).toEqual([]);
  });

  it('alerts an admin of a dirty device with MIG and does not touch it', async () => {
    const one = await run({ gpus: [gpuState(0, { recovery: read('reset'), mig: 'yes' })] });
    expect(acts(one)).toEqual([]);
    expect(events(one, 'gpu.reset.withheld')).toMatchObject([{ reason: 'mig', alert: true }]);
    expect(one.report.exit).toBe(ExitCode.findings);
  });

  it('resets after an orphan only what is still dirty five seconds later', async () => {
    const full = { gpus: [gpuState(0, { unexplainedMiB: 9000 })], processes: [orphan()] };
    expect(acts(await run(full))).toEqual(['SIGTERM 4711', 'reset 00000000:10:00.0']);
    const freed = await run(full, { change: (host, n) => (n >= 7 ? { ...host, gpus: [gpuState(0)] } : host) });
    expect(acts(freed)).toEqual(['SIGTERM 4711']);
  });

  it('puts a board into quarantine at the third reset of a day', async () => {
    const ledger = memoryLedger(historyOf({ resets: [7, 14].map((hours) => ({ gpuUuid: GPU0, at: NOW - hours * HOUR, succeeded: true })) }));
    const one = await run({ gpus: [dirty] }, { ledger, resetFails: true });
    expect(outcomes(one)).toEqual(['reset failed null']);
    expect(ledger.history().quarantined).toEqual([GPU0]);
    expect(events(one, 'gpu.quarantined')).toHaveLength(1);
  });

  it('does nothing and exits 3 without the engine', async () => {
    const one = await run({ gpus: [dirty], processes: [orphan()], trouble: { ...hostOf().trouble, engine: 'failed' } }, { history_: { allocations: [allocation()] } });
    expect(acts(one)).toEqual([]);
    expect(one.report.outcomes).toEqual([]);
    expect(one.report.exit).toBe(ExitCode.notObserved);
  });
});

describe('the last check before a reset', () => {
  const at = (n: number, change: (host: HostState) => HostState): Partial<BenchOptions> => ({ change: (host, asked) => (asked === n ? change(host) : host) });
  /** Release, orphans and resets each look once: the fourth look is the last check. */
  const LAST = 3;

  it.each<[string, string, (host: HostState) => HostState]>([
    ['reset refused blocked', 'somebody came', (host) => ({ ...host, containers: [runningJob(asking)] })],
    ['reset refused blocked', 'MIG came on', (host) => ({ ...host, gpus: [gpuState(0, { recovery: read('reset'), mig: 'yes' })] })],
    ['reset refused blocked', 'the engine fell silent', (host) => ({ ...host, trouble: { ...host.trouble, engine: 'failed' } })],
    ['reset already-gone no-longer-wanted', 'the board is well', (host) => ({ ...host, gpus: [gpuState(0)] })],
    ['reset refused process-list-unknown', 'the board is gone', (host) => ({ ...host, gpus: [] })],
    ['reset refused process-list-unknown', 'another board is at its bus id', (host) => ({ ...host, gpus: [gpuState(0, { uuid: GPU1, recovery: read('reset') })] })],
    ['reset refused process-list-unknown', 'it is at another bus id', (host) => ({ ...host, gpus: [gpuState(0, { pciBusId: '00000000:ff:00.0', recovery: read('reset') })] })],
  ])('%s: %s', async (expected, _, change) => {
    const one = await run({ gpus: [dirty] }, at(LAST, change));
    expect(acts(one)).toEqual([]);
    expect(outcomes(one)).toEqual([expected]);
    expect(one.bench.ledger.history().resets).toEqual([]);
  });

  it('reset refused snapshot-too-old: the look took too long to be used', async () => {
    const one = await run({ gpus: [dirty] });
    expect(acts(one)).toHaveLength(1);
    const bench = benchOf({ host: hostOf({ gpus: [dirty] }), history: historyOf(), config: defaultConfig(), now: NOW });
    const { observer, clock } = bench.parts;
    const late = { ...bench.parts, observer: { ...observer, observe: async () => { const snapshot = await observer.observe(); await clock.sleep(2001); return snapshot; } } };
    const report = await runPass(late, passOptions(), releaseStale);
    expect(outcomes({ report, bench })).toEqual(['reset refused snapshot-too-old']);
    expect(bench.acts).toEqual([]);
  });
});

describe('a dry run', () => {
  const dry = { pass: { dryRun: true, records: false } };

  it('names what depends on what comes before it as conditional', async () => {
    const one = await run({ gpus: [dirty, gpuState(1, { recovery: read('reset') })], processes: [orphan()] }, dry);
    const said = one.report.decisions.map(({ verb, verdict, reason }) => `${verb} ${verdict} ${reason}`);
    expect(said).toEqual(['kill act orphan-container-gone', 'reset leave conditional', 'reset act reset-asked']);
    expect(acts(one)).toEqual([]);
  });

  it('so also where the orphan only has the node open', async () => {
    const one = await run({ gpus: [gpuState(0), gpuState(1, { recovery: read('reset') })], processes: [orphan({ holds: [0, 1] })] }, dry);
    expect(one.report.decisions.at(-1)).toMatchObject({ verb: 'reset', verdict: 'leave', reason: 'conditional' });
  });

  it('so also where a release would take the claim away', async () => {
    const one = await run({ gpus: [dirty], containers: [stopped(asking)] }, { ...dry, history_: { allocations: [allocation()] } });
    expect(one.report.decisions.at(-1)).toMatchObject({ verb: 'reset', verdict: 'leave', reason: 'conditional' });
  });
});

describe('health-check', () => {
  it('as a report changes nothing and exits 1 for what it found', async () => {
    const one = await run({ gpus: [dirty], processes: [orphan()] }, { story: healthCheck, pass: { job: 'health-check', acts: false, records: false } });
    expect(acts(one)).toEqual([]);
    expect(one.report.exit).toBe(ExitCode.findings);
    expect(one.bench.calls.filter((call) => call.startsWith('ledger.') && call !== 'ledger.history')).toEqual([]);
  });

  it('of one device leaves the others alone', async () => {
    const host = { gpus: [dirty, gpuState(1, { recovery: read('reset') })], processes: [orphan({ rows: [{ gpu: 0, type: 'C', usedMiB: 1 }] })] };
    const one = await run(host, { story: healthCheck, pass: { job: 'health-check', devices: ['1'] } });
    expect(acts(one)).toEqual(['reset 00000000:11:00.0']);
    expect(one.report.devices.map(({ uuid }) => uuid)).toEqual([GPU1]);
  });

  it('of a device that is not there is a mistake of the caller', async () => {
    await expect(run({}, { story: healthCheck, pass: { job: 'health-check', devices: ['7'] } })).rejects.toMatchObject({ exitCode: ExitCode.usage, code: 'no-such-device' });
  });
});

describe('after a kill', () => {
  it('the next pass tells what was in flight, and a reset in flight counts for the cool-down, once', async () => {
    const ledger = memoryLedger(historyOf());
    ledger.beginAct('pass-0', 'reset', { kind: 'gpu', uuid: GPU0, pciBusId: '00000000:10:00.0', index: 0 }, NOW - HOUR);
    const one = await run({ gpus: [dirty] }, { ledger });
    expect(events(one, 'pass.recovered').flatMap(({ facts }) => (facts?.['acts'] ?? []) as readonly KeptAct[])).toMatchObject([{ passId: 'pass-0', verb: 'reset' }]);
    expect(ledger.history().resets).toEqual([{ gpuUuid: GPU0, at: NOW - HOUR, succeeded: false }]);
    expect(acts(one)).toEqual([]);
    expect(events(one, 'gpu.reset.withheld').flatMap(({ message }) => message)).toMatchObject([expect.stringContaining('it was reset')]);
  });

  it('a sample tells it as well', async () => {
    const ledger = memoryLedger(historyOf());
    ledger.beginAct('pass-0', 'kill', { kind: 'process', identity: null, pid: 1, name: 'x', containerId: null, gpuUuids: [] }, NOW - HOUR);
    const one = await run({}, { ledger, story: sample, pass: { job: 'sample', acts: false } });
    expect(events(one, 'pass.recovered')).toHaveLength(1);
  });
});

describe('what a pass learns', () => {
  it('is which containers hold which devices, from an engine that is to be believed', async () => {
    const one = await run({ containers: [runningJob(asking)] }, { history_: { knownContainerIds: [] } });
    expect(one.bench.ledger.history().allocations).toMatchObject([{ containerId: JOB, gpuUuid: GPU0, releasedAt: null }]);
    expect(events(one, 'gpu.allocation.observed')).toHaveLength(1);
  });

  it('is told where it makes a conflict, once, with all whose claims meet', async () => {
    const other = runningJob({ ...asking, id: GONE, name: 'other' });
    const one = await run({ containers: [runningJob(asking), other] }, { history_: { knownContainerIds: [] } });
    expect(events(one, 'gpu.allocation.conflict')).toMatchObject([{ message: '2 live containers claim one device: job, other', gpu: { uuid: GPU0, mig: null }, facts: { containers: [{ id: JOB, name: 'job' }, { id: GONE, name: 'other' }] } }]);
    const { ledger } = one.bench;
    expect(events(await run({ containers: [runningJob(asking), other] }, { ledger }), 'gpu.allocation.conflict')).toEqual([]);
    const third = runningJob({ ...asking, id: STRANGE, name: 'third' });
    expect(events(await run({ containers: [runningJob(asking), other, third] }, { ledger }), 'gpu.allocation.conflict')).toHaveLength(1);
  });

  it('is nothing from one that is not', async () => {
    const one = await run({ containers: [runningJob(asking)], engine: { kind: 'podman', engineId: null } }, { history_: { knownContainerIds: [] } });
    expect(one.bench.ledger.history()).toMatchObject({ allocations: [], knownContainerIds: [] });
  });
});

describe('a pass that was asked for what cannot be', () => {
  it('has an end in the ledger as in the events, and one that met a bug has none', async () => {
    const ends = async (error: Error): Promise<readonly unknown[]> => {
      const { parts, events: told } = benchOf({ host: hostOf({}), history: historyOf({}), config: defaultConfig(), now: NOW });
      const ended: number[] = [];
      const ledger = { ...parts.ledger, endPass: (_id: string, _at: number, exit: number) => { ended.push(exit); } };
      await expect(runPass({ ...parts, ledger }, passOptions(), () => Promise.reject(error))).rejects.toBe(error);
      return [ended, told.filter(({ action }) => action === 'pass.ended').map(({ facts }) => facts?.['exit'])];
    };
    expect(await ends(new GpuctlError('no GPU 9', { code: 'usage', exitCode: ExitCode.usage }))).toEqual([[ExitCode.usage], [ExitCode.usage]]);
    expect(await ends(new TypeError('a bug'))).toEqual([[], [ExitCode.bug]]);
  });
});
