import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideConditions } from '../../../src/decide/conditions.ts';
import { CONDITION_KINDS, conditionKindOf, type Looked } from '../../../src/decide/condition-kinds.ts';
import { decideChecks } from '../../../src/decide/health.ts';
import { defaultHealthRules, healthFactsOf } from '../../../src/decide/health/facts.ts';
import { type Condition, conditionKey, type ConditionVerdict } from '../../../src/model/condition.ts';
import type { Decision } from '../../../src/model/decision.ts';
import type { Finding } from '../../../src/model/finding.ts';
import { FURTHER_FINDINGS, HEALTH_CHECKS } from '../../../src/model/health-checks.ts';
import { complete, failed } from '../../../src/model/observation.ts';
import type { KernelView } from '../../../src/model/lost.ts';
import { absent, misread, read, unsupported } from '../../../src/model/reading.ts';
import type { Snapshot } from '../../../src/model/snapshot.ts';
import type { HostState } from '../../property/host.ts';
import { assessed, GONE, GPU0, GPU1, gpuState, HOUR, hostOf, JOB, NOW, runningJob, stopped } from './good-case.ts';

const remap: Finding = { id: 'gpu.row_remap.pending', severity: 'warning', subject: { gpu: GPU0 }, message: 'a repair waits', remedy: 'a reset' };

function looked(host: Partial<HostState> = {}, more: Partial<Looked> = {}): Looked {
  const seen = assessed(host);
  const checked: Looked['checked'] = (gpuUuid, id) => {
    const gpu = seen.gpus.find(({ uuid }) => uuid === gpuUuid);
    return gpu === undefined ? null : (decideChecks(healthFactsOf(gpu, seen, defaultHealthRules)).find(({ check }) => check.id === id)?.verdict.state ?? null);
  };
  return { job: 'release-stale', selected: null, snapshot: seen.snapshot, inventory: null, decisions: [], outcomes: [], checked, ...more };
}

function conditionOf(finding: Finding, more: Partial<Condition> = {}): Condition {
  const { id, subject, message, remedy } = finding;
  return { id, subject, severity: finding.severity === 'critical' ? 'critical' : 'warning', message, remedy, firstSeenAt: NOW - HOUR, lastSeenAt: NOW - HOUR, seenBy: ['release-stale'], ...more };
}

function changes({ changes: all }: ConditionVerdict): readonly string[] {
  return all.map(({ change, condition }) => `${change} ${condition.id}`);
}

/** What a pass without this finding makes of its condition. */
function without(finding: Finding, look: Looked, findings: readonly Finding[] = [], more: Partial<Condition> = {}): readonly string[] {
  return changes(decideConditions({ open: [conditionOf(finding, more)], findings, looked: look, now: NOW }));
}

describe('a condition', () => {
  it('is raised by the first pass that has the finding, and goes on with its first instant', () => {
    const first = decideConditions({ open: [], findings: [remap], looked: looked({}, { job: 'sample' }), now: NOW });
    expect(first.changes).toMatchObject([{ change: 'raised', before: null, condition: { id: remap.id, firstSeenAt: NOW, lastSeenAt: NOW, seenBy: ['sample'] } }]);
    const second = decideConditions({ open: first.open, findings: [{ ...remap, message: 'it still waits' }], looked: looked(), now: NOW + HOUR });
    expect(second.changes).toEqual([]);
    expect(second.still).toEqual([expect.objectContaining({ message: 'it still waits', firstSeenAt: NOW, lastSeenAt: NOW + HOUR, seenBy: ['sample', 'release-stale'] })]);
    expect(second.open).toEqual(second.still);
  });

  it('is told by id and subject, whoever owns it; of several findings the worst is kept', () => {
    const critical: Finding = { ...remap, severity: 'critical', message: 'worse', subject: { gpu: GPU0, owner: 'alice' } };
    for (const several of [[remap, critical], [critical, remap], [critical, { ...critical, message: 'as bad' }], [critical, remap, remap]]) {
      expect(decideConditions({ open: [], findings: several, looked: looked(), now: NOW }).open.map(({ message }) => message)).toEqual(['worse']);
    }
    expect(decideConditions({ open: [], findings: [remap, { ...remap, message: 'as bad' }], looked: looked(), now: NOW }).open.map(({ message }) => message), 'the first of equals').toEqual(['a repair waits']);
    const verdict = decideConditions({ open: [], findings: [remap, critical, { ...remap, subject: { gpu: GPU1 } }], looked: looked(), now: NOW });
    expect(verdict.open.map(({ severity, subject: { gpu } }) => [gpu, severity])).toEqual(expect.arrayContaining([[GPU0, 'critical'], [GPU1, 'warning']]));
    expect(verdict.open).toHaveLength(2);
  });

  it('changes when its severity does, in either direction', () => {
    const worse = decideConditions({ open: [conditionOf(remap)], findings: [{ ...remap, severity: 'critical' }], looked: looked(), now: NOW });
    expect(worse.still).toEqual([]);
    expect(worse.changes).toMatchObject([{ change: 'changed', before: 'warning', condition: { severity: 'critical', firstSeenAt: NOW - HOUR } }]);
    expect(changes(decideConditions({ open: worse.open, findings: [remap], looked: looked(), now: NOW }))).toEqual(['changed gpu.row_remap.pending']);
  });

  it('is over when a pass that would have seen it does not', () => {
    expect(without(remap, looked())).toEqual(['cleared gpu.row_remap.pending']);
    expect(without(remap, looked({}, { job: 'health-check' }))).toEqual(['cleared gpu.row_remap.pending']);
  });

  it('that is over is told as it was last seen, and is open no more', () => {
    const verdict = decideConditions({ open: [conditionOf(remap)], findings: [], looked: looked(), now: NOW });
    expect(verdict).toEqual({ changes: [{ change: 'cleared', before: 'warning', condition: conditionOf(remap, { seenBy: [] }) }], still: [], open: [] });
  });

  it('of which a pass says nothing is neither told nor touched', () => {
    const open = [conditionOf(remap), conditionOf({ ...remap, id: 'container.dead', subject: { container: JOB } }, { seenBy: ['cleanup-containers'] })];
    expect(decideConditions({ open, findings: [], looked: looked({}, { job: 'check-idle' }), now: NOW })).toEqual({ changes: [], still: [], open });
  });

  it('that another version began is over where everything was seen, and this one has an event of it at most', () => {
    const other: Finding = { ...remap, id: 'process.stray', subject: { gpu: GPU0 } };
    const { trouble } = hostOf();
    expect(without(other, looked({}, { job: 'health-check' }), [other])).toEqual(['cleared process.stray']);
    expect(without(other, looked())).toEqual(['cleared process.stray']);
    expect(without(other, looked({}, { job: 'sample' }))).toEqual([]);
    for (const part of [{ driver: 'partial' }, { engine: 'failed' }, { proc: 'partial' }] as const) expect(without(other, looked({ trouble: { ...trouble, ...part } }))).toEqual([]);
  });

  it('is not made of what is for information alone, nor of what is an event', () => {
    const findings: readonly Finding[] = [{ ...remap, severity: 'info' }, { ...remap, id: 'process.stray' }, { ...remap, id: 'breaker.tripped' }, { ...remap, id: 'limits.not_configured' }];
    expect(changes(decideConditions({ open: [], findings, looked: looked(), now: NOW }))).toEqual([]);
  });
});

describe('an unknown never clears', () => {
  const other = hostOf();
  const unanswered = { inspected: false, id: GONE, name: 'x', state: 'running', why: 'it hangs' } as never;
  it.each<[string, Looked]>([
    ['there was no look', looked({}, { snapshot: null })],
    ['nvidia-smi failed', looked({ trouble: { ...other.trouble, driver: 'failed' } })],
    ['the device was not seen', looked({ gpus: [gpuState(1)] })],
    ['the reading is an error', looked({ gpus: [gpuState(0, { repairPending: 'error' }), gpuState(1)] })],
    ['the pass was asked about another device', looked({}, { selected: new Set([GPU1]) })],
    ['it is a pass of another kind', looked({}, { job: 'sample' })],
    ['it is a pass about limits', looked({}, { job: 'check-idle' })],
  ])('%s', (_, look) => {
    expect(without(remap, look)).toEqual([]);
  });

  it.each([absent, unsupported, misread('Unknown Error')])('the reading is %j', (recovery) => {
    expect(without({ ...remap, id: 'gpu.recovery.reset' }, looked({ gpus: [gpuState(0, { recovery })] }))).toEqual([]);
    expect(without({ ...remap, id: 'gpu.recovery.reset' }, looked({ gpus: [gpuState(0, { recovery: read('none') })] }))).toEqual(['cleared gpu.recovery.reset']);
  });

  it('the check says nothing: it learns, it means nothing now, it is not supported; switched off, it is over', () => {
    for (const state of ['learning', 'not-now', 'unsupported', 'unknown', null] as const) expect(without(remap, looked({}, { checked: () => state }))).toEqual([]);
    for (const state of ['ok', 'off'] as const) expect(without(remap, looked({}, { checked: () => state }))).toEqual(['cleared gpu.row_remap.pending']);
  });

  it('an Xid: the kernel log cannot be read, or the boot is not known', () => {
    const xid: Finding = { ...remap, id: 'gpu.xid.79', severity: 'critical' };
    const { snapshot } = assessed();
    expect(without(xid, looked({}, { job: 'sample' }))).toEqual(['cleared gpu.xid.79']);
    expect(without(xid, looked({}, { snapshot: { ...snapshot, kernelLog: failed('error', 'EPERM') } }))).toEqual([]);
    expect(without(xid, looked({ trouble: { ...other.trouble, proc: 'failed' } }))).toEqual([]);
  });

  it('a finding for information stands in its place', () => {
    expect(without(remap, looked(), [{ ...remap, severity: 'info', message: 'not supported' }])).toEqual([]);
  });

  it.each(['gpu.orphan', 'gpu.ghost', 'process.stuck', 'gpu.allocation.conflict'])('%s: the process list, /proc or the engine was not seen in full', (id) => {
    const finding: Finding = { ...remap, id, subject: { gpu: GPU0, pid: 4711 } };
    expect(without(finding, looked())).toEqual([`cleared ${id}`]);
    expect(without(finding, looked({ gpus: [gpuState(0, { listUnknown: 'cut' })] }))).toEqual([]);
    expect(without(finding, looked({ trouble: { ...other.trouble, engine: 'failed' } }))).toEqual([]);
    expect(without(finding, looked({ trouble: { ...other.trouble, proc: 'failed' } }))).toEqual([]);
    expect(without(finding, looked({ trouble: { ...other.trouble, proc: 'partial' } }))).toEqual([]);
    expect(without(finding, looked({ containers: [unanswered] }))).toEqual([]);
    expect(without(finding, looked({ gpus: [gpuState(1)] }))).toEqual([]);
    expect(without(finding, looked({ gpus: [gpuState(1), gpuState(0)], trouble: { ...other.trouble, driver: 'partial' } })), 'another device was not described').toEqual([`cleared ${id}`]);
    for (const doubt of ['process.unknown', 'gpu.orphan.unconfirmed']) {
      const about = (pid: number): Finding => ({ ...remap, id: doubt, severity: 'info', subject: { pid } });
      expect(without(finding, looked(), [about(1), about(4711)])).toEqual([]);
      expect(without(finding, looked(), [about(4712)]), 'the doubt is about another process').toEqual([`cleared ${id}`]);
    }
    expect(without(finding, looked(), [{ ...remap, id: 'process.stray', subject: { pid: 4711 } }])).toEqual([`cleared ${id}`]);
  });

  it('a process of which no device is known: the list of any device was not seen in full', () => {
    const stuck: Finding = { ...remap, id: 'process.stuck', subject: { pid: 4711 } };
    expect(without(stuck, looked())).toEqual(['cleared process.stuck']);
    expect(without(stuck, looked({ gpus: [gpuState(0), gpuState(1, { listUnknown: 'cut' })] }))).toEqual([]);
    expect(without(stuck, looked({ trouble: { ...other.trouble, driver: 'partial' } }))).toEqual([]);
    expect(without(stuck, looked({ trouble: { ...other.trouble, driver: 'failed' } }))).toEqual([]);
  });

  it.each([GPU0, '00000000:10:00.0'])('the device was described, and something of it is missing: %s', (subject) => {
    const { snapshot } = assessed();
    const missing = (driver: Snapshot['driver']): Snapshot['driver'] => (driver.state === 'complete' ? { state: 'partial', value: driver.value, missing: [{ subject: 'elsewhere', why: 'cut' }, { subject, why: 'cut' }] } : driver);
    const partial = looked({}, { snapshot: { ...snapshot, driver: missing(snapshot.driver) } });
    for (const id of ['gpu.row_remap.pending', 'gpu.lost']) expect(without({ ...remap, id }, partial)).toEqual([]);
    expect(without({ ...remap, subject: { gpu: GPU1 } }, partial)).toEqual(['cleared gpu.row_remap.pending']);
  });

  it('gpu.dirty: the decision about the reset does not say that the device is clean', () => {
    const dirty: Finding = { ...remap, id: 'gpu.dirty' };
    const deciding = (more: Partial<Decision>): Looked => looked({}, { decisions: [{ round: 1, verb: 'reset', target: { kind: 'gpu', uuid: GPU0, pciBusId: '00000000:10:00.0', index: 0 }, verdict: 'leave', reason: 'clean', evidence: {}, ...more }] });
    const elsewhere = { kind: 'gpu', uuid: GPU1, pciBusId: '00000000:11:00.0', index: 1 } as const;
    const process = { kind: 'process', identity: null, pid: 1, name: '', containerId: null, gpuUuids: [GPU0] } as const;
    expect(without(dirty, looked())).toEqual([]);
    expect(without(dirty, deciding({ reason: 'process-list-unknown' }))).toEqual([]);
    for (const more of [{ target: elsewhere }, { verb: 'alert' }, { verb: 'kill', target: process }] as const) expect(without(dirty, deciding(more))).toEqual([]);
    expect(without(dirty, deciding({ verdict: 'refuse', reason: 'blocked' })), 'it is dirty in another way, or it would have been found again').toEqual(['cleared gpu.dirty']);
    expect(without(dirty, { ...deciding({}), snapshot: looked({ gpus: [gpuState(1)] }).snapshot })).toEqual([]);
    expect(without(dirty, deciding({ reason: 'not-yet-confirmed' }))).toEqual([]);
    expect(without(dirty, deciding({}))).toEqual(['cleared gpu.dirty']);
    expect(without(dirty, { ...deciding({ verdict: 'act', reason: 'reset-asked' }), outcomes: [{ decision: 0, result: 'failed', reason: null, detail: '' }] })).toEqual([]);
    for (const result of ['done', 'already-gone'] as const) {
      const acted = (decision: number): Looked => ({ ...deciding({ verdict: 'act', reason: 'reset-asked' }), outcomes: [{ decision: 9, result: 'failed', reason: null, detail: '' }, { decision, result, reason: null, detail: '' }] });
      expect(without(dirty, acted(0))).toEqual(['cleared gpu.dirty']);
      expect(without(dirty, acted(1)), 'the outcome of another decision').toEqual([]);
    }
    const [clean] = deciding({}).decisions;
    if (clean === undefined) throw new Error('no decision');
    const rounds = (...reasons: readonly Decision['reason'][]): Looked => looked({}, { decisions: reasons.map((reason) => ({ ...clean, reason })) });
    expect(without(dirty, rounds('clean', 'not-yet-confirmed')), 'the last round counts').toEqual([]);
    expect(without(dirty, rounds('not-yet-confirmed', 'clean'))).toEqual(['cleared gpu.dirty']);
  });

  it('source.processes.partial: open files may be what could not be read, and the pass did not ask for them', () => {
    const partial: Finding = { ...remap, id: 'source.processes.partial', subject: {} };
    const { snapshot } = assessed();
    const unasked = snapshot.processes.state === 'complete' ? { ...snapshot, processes: complete({ ...snapshot.processes.value, holders: null }) } : snapshot;
    expect(without(partial, looked({}, { job: 'sample', snapshot: unasked }))).toEqual([]);
    expect(without(partial, looked({}, { job: 'release-stale' }))).toEqual(['cleared source.processes.partial']);
  });

  it('source.engine.failed: only the engine itself ends it, whichever pass asks', () => {
    const dead: Finding = { ...remap, id: 'source.engine.failed', severity: 'critical', subject: {} };
    expect(without(dead, looked({ trouble: { ...other.trouble, engine: 'failed' } }, { job: 'sample' }))).toEqual([]);
    expect(without(dead, looked({}, { job: 'sample' }))).toEqual(['cleared source.engine.failed']);
  });
});

describe('what must have been seen', () => {
  const { snapshot } = assessed();
  const kernelLog = complete({}) as never;
  const kernel = { pciGpus: [], moduleVersion: '590.44', blocked: [] } as unknown as KernelView;
  const version = failed('version-mismatch', 'differs');
  const { trouble } = hostOf();

  it.each<[id: string, job: string, cleared: boolean, what: string, change: Partial<Snapshot>]>([
    ['source.nvidia-smi.failed', 'sample', true, 'nvidia-smi answers', {}],
    ['source.nvidia-smi.failed', 'sample', false, 'nvidia-smi fails', { driver: version }],
    ['source.processes.failed', 'sample', true, '/proc answers', {}],
    ['source.processes.failed', 'sample', false, '/proc fails', { processes: version }],
    ['source.processes.partial', 'sample', false, '/proc fails', { processes: version }],
    ['source.kernel-log.failed', 'sample', true, 'the kernel log was read', { kernelLog }],
    ['source.kernel-log.failed', 'sample', false, 'it was not asked', {}],
    ['source.kernel-log.failed', 'sample', false, 'it cannot be read', { kernelLog: version }],
    ['gpu.xid.79', 'sample', true, 'the kernel log was read', { kernelLog }],
    ['gpu.unlisted', 'release-stale', true, 'the bus was read', { kernel }],
    ['gpu.unlisted', 'sample', false, 'it is a pass of another kind', { kernel }],
    ['gpu.unlisted', 'release-stale', false, 'nobody asked about the bus', {}],
    ['gpu.unlisted', 'release-stale', false, 'the bus could not be read', { kernel: { ...kernel, pciGpus: null } }],
    ['gpu.unlisted', 'release-stale', false, 'nvidia-smi fails', { kernel, driver: version }],
    ['gpu.something.new', 'release-stale', true, 'every device was seen', {}],
    ['gpu.something.new', 'release-stale', false, 'nvidia-smi fails', { driver: version }],
    ['gpu.quarantined', 'sample', true, 'the ledger says so', { driver: version }],
    ['host.clock.jumped', 'check-idle', true, 'the ledger says so', { driver: version }],
    ['driver.hung', 'sample', true, 'nvidia-smi answers', {}],
    ['driver.hung', 'sample', false, 'nvidia-smi fails', { driver: version }],
    ['driver.mismatch', 'sample', true, 'the versions are known', { kernel }],
    ['driver.mismatch', 'sample', false, 'nvidia-smi fails', { kernel, driver: version }],
    ['driver.mismatch', 'sample', false, 'nobody asked about the module', {}],
    ['driver.mismatch', 'sample', false, 'its version could not be read', { kernel: { ...kernel, moduleVersion: null } }],
  ])('%s, by %s: over is %j where %s', (id, job, cleared, _, change) => {
    expect(without({ ...remap, id, subject: {} }, looked({}, { job, snapshot: { ...snapshot, ...change } }))).toEqual(cleared ? [`cleared ${id}`] : []);
  });

  it('is not held against a condition of the host that only some devices were asked for', () => {
    expect(without({ ...remap, id: 'source.engine.failed', subject: {} }, looked({}, { selected: new Set([GPU1]) }))).toEqual(['cleared source.engine.failed']);
    expect(without(remap, looked({}, { selected: new Set([GPU0]) }))).toEqual(['cleared gpu.row_remap.pending']);
  });

  it('of a board is that board: a partial look at the others is enough', () => {
    const gpus = [gpuState(1), gpuState(0)];
    expect(without({ ...remap, id: 'gpu.lost' }, looked({ gpus, trouble: { ...trouble, driver: 'partial' } }))).toEqual(['cleared gpu.lost']);
  });
});

describe('a condition of a container', () => {
  const past: Finding = { ...remap, id: 'container.protected.past_limit', subject: { container: JOB } };
  const running = (reason: Decision['reason'], job: string): Looked => looked({ containers: [runningJob()] }, { job, decisions: [{ round: 1, verb: 'stop', target: { kind: 'container', containerId: JOB, containerName: 'job', startedAt: 0, owner: null }, verdict: 'leave', reason, evidence: {} }] });

  it('lasts until each job that saw it has seen it gone', () => {
    const seenBy = ['check-idle', 'enforce-runtime'];
    const half = decideConditions({ open: [conditionOf(past, { seenBy })], findings: [], looked: running('within-limit', 'check-idle'), now: NOW });
    expect([half.changes, half.still.map((each) => each.seenBy)]).toEqual([[], [['enforce-runtime']]]);
    expect(changes(decideConditions({ open: half.open, findings: [], looked: running('within-limit', 'enforce-runtime'), now: NOW }))).toEqual(['cleared container.protected.past_limit']);
  });

  it('is over when the container is gone, and not while it cannot be judged', () => {
    const seenBy = ['check-idle'];
    expect(without(past, looked({}, { job: 'check-idle' }), [], { seenBy })).toEqual(['cleared container.protected.past_limit']);
    expect(without(past, running('activity-unknown', 'check-idle'), [], { seenBy })).toEqual([]);
    expect(without(past, looked({ containers: [stopped()] }, { job: 'check-idle' }), [], { seenBy }), 'it was stopped').toEqual(['cleared container.protected.past_limit']);
    expect(without(past, running('within-limit', 'check-idle'), [], { seenBy }), 'it was judged').toEqual(['cleared container.protected.past_limit']);
    const [judged] = running('within-limit', 'check-idle').decisions;
    if (judged?.target.kind !== 'container') throw new Error('no decision');
    const mixed = { ...running('within-limit', 'check-idle'), decisions: [judged, { ...judged, reason: 'age-unknown' as const }] };
    expect(without(past, mixed, [], { seenBy }), 'one of two answers leaves it open').toEqual([]);
    const others = [{ ...judged, target: { ...judged.target, containerId: GONE } }, { ...judged, verb: 'release', target: { kind: 'allocation', containerId: JOB, containerName: 'job', startedAt: 0, gpuUuid: GPU0, migUuid: null } }] as const;
    expect(without(past, { ...mixed, decisions: others }, [], { seenBy }), 'another container was judged').toEqual([]);
    expect(without(past, { ...mixed, decisions: [judged, { ...others[0], reason: 'age-unknown' }] }, [], { seenBy }), 'what is not known of another').toEqual(['cleared container.protected.past_limit']);
    expect(without(past, looked({ containers: [stopped({ id: GONE }), runningJob()] }, { job: 'check-idle' }), [], { seenBy })).toEqual([]);
    expect(without(past, looked({ trouble: { ...hostOf().trouble, engine: 'failed' } }, { job: 'check-idle' }), [], { seenBy })).toEqual([]);
  });
});

it('a board that was taken out ends its conditions once it is out of the inventory', () => {
  const gone = { gpus: [gpuState(1)] };
  expect(without(remap, looked(gone, { inventory: new Set([GPU0, GPU1]) }))).toEqual([]);
  expect(without(remap, looked(gone, { inventory: new Set([GPU1]) }))).toEqual(['cleared gpu.row_remap.pending']);
  for (const driver of ['failed', 'partial'] as const) expect(without(remap, looked({ trouble: { ...hostOf().trouble, driver } }, { inventory: new Set([GPU1]) }))).toEqual([]);
  expect(without(remap, looked(gone, { inventory: new Set([GPU1]), job: 'sample' })), 'whichever pass sees it').toEqual(['cleared gpu.row_remap.pending']);
  const present = { gpus: [gpuState(0, { repairPending: 'error' }), gpuState(1)] };
  expect(without(remap, looked(present, { inventory: new Set([GPU1]) })), 'it is back').toEqual([]);
  expect(without({ ...remap, id: 'gpu.unlisted', subject: {} }, looked({}, { inventory: new Set([GPU1]) })), 'a condition of the host is of no board').toEqual([]);
});

it('the longest pattern that fits an id counts', () => {
  expect(conditionKindOf('gpu.xid.79')).toBe(CONDITION_KINDS['gpu.xid.*']);
  expect(conditionKindOf('gpu.reset.setting_not_restored')).toBe(CONDITION_KINDS['gpu.reset.*']);
  expect(conditionKindOf('gpu.something.new')).toBe(CONDITION_KINDS['gpu.*']);
  expect([conditionKindOf('process.stray'), conditionKindOf('gpu'), conditionKindOf('constructor')]).toEqual([null, null, null]);
});

it('every finding that can be switched off either lasts or is known not to', () => {
  const passing = Object.keys(FURTHER_FINDINGS).filter((id) => conditionKindOf(id.replace('#', '79')) === null);
  expect(passing.toSorted()).toEqual(['claim.unresolved', 'process.foreign', 'process.stray', 'process.unknown', 'xid.#.widespread']);
  for (const { id } of HEALTH_CHECKS) expect(conditionKindOf(id)?.when).toMatch(/^the check of that name/);
});

describe('over any sequence of passes', () => {
  const ids = ['gpu.row_remap.pending', 'gpu.fault', 'gpu.orphan', 'source.engine.failed', 'process.stray'];
  const finding = fc.record({ id: fc.constantFrom(...ids), severity: fc.constantFrom('info' as const, 'warning' as const, 'critical' as const), gpu: fc.constantFrom(GPU0, GPU1) })
    .map(({ id, severity, gpu }): Finding => ({ ...remap, id, severity, subject: id.startsWith('source') ? {} : { gpu } }));
  const pass = fc.record({
    findings: fc.array(finding, { maxLength: 4 }),
    job: fc.constantFrom('release-stale', 'health-check', 'sample', 'check-idle'),
    selected: fc.constantFrom(null, new Set([GPU0])),
    trouble: fc.constantFrom('none', 'driver', 'engine', 'list', 'reading'),
  });
  const hosts = {
    none: {}, driver: { trouble: { ...hostOf().trouble, driver: 'failed' as const } }, engine: { trouble: { ...hostOf().trouble, engine: 'failed' as const } },
    list: { gpus: [gpuState(0, { listUnknown: 'cut' }), gpuState(1)] }, reading: { gpus: [gpuState(0, { repairPending: 'error' }), gpuState(1)] },
  };

  it('raising and clearing alternate, and what is open is what was raised last', () => {
    let cleared = 0;
    fc.assert(fc.property(fc.array(pass, { maxLength: 25 }), (passes) => {
      let open: readonly Condition[] = [];
      const state = new Map<string, 'raised' | 'cleared'>();
      passes.forEach(({ findings, job, selected, trouble }, n) => {
        const verdict = decideConditions({ open, findings, looked: looked(hosts[trouble as keyof typeof hosts], { job, selected }), now: NOW + n * HOUR });
        for (const { change, condition } of verdict.changes) {
          const key = conditionKey(condition);
          if (change === 'changed') expect(state.get(key)).toBe('raised');
          else {
            expect(state.get(key) === 'raised').toBe(change === 'cleared');
            state.set(key, change);
            if (change === 'cleared') cleared += 1;
          }
        }
        if (trouble === 'driver') expect(verdict.changes.filter(({ change, condition }) => change === 'cleared' && condition.subject.gpu !== undefined)).toEqual([]);
        open = verdict.open;
        expect(new Set(open.map(conditionKey))).toEqual(new Set([...state].filter(([, last]) => last === 'raised').map(([key]) => key)));
        expect(open).toHaveLength(new Set(open.map(conditionKey)).size);
        for (const each of open) expect(each.firstSeenAt).toBeLessThanOrEqual(each.lastSeenAt);
      });
    }));
    expect(cleared).toBeGreaterThan(0);
  });
});
