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
import { absent, misread, read, unsupported } from '../../../src/model/reading.ts';
import type { HostState } from '../../property/host.ts';
import { assessed, GPU0, GPU1, gpuState, HOUR, hostOf, JOB, NOW, runningJob } from './good-case.ts';

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
    const verdict = decideConditions({ open: [], findings: [remap, critical, { ...remap, subject: { gpu: GPU1 } }], looked: looked(), now: NOW });
    expect(verdict.open.map(({ severity, subject: { gpu } }) => [gpu, severity])).toEqual(expect.arrayContaining([[GPU0, 'critical'], [GPU1, 'warning']]));
    expect(verdict.open).toHaveLength(2);
  });

  it('changes when its severity does, in either direction', () => {
    const worse = decideConditions({ open: [conditionOf(remap)], findings: [{ ...remap, severity: 'critical' }], looked: looked(), now: NOW });
    expect(worse.changes).toMatchObject([{ change: 'changed', before: 'warning', condition: { severity: 'critical', firstSeenAt: NOW - HOUR } }]);
    expect(changes(decideConditions({ open: worse.open, findings: [remap], looked: looked(), now: NOW }))).toEqual(['changed gpu.row_remap.pending']);
  });

  it('is over when a pass that would have seen it does not', () => {
    expect(without(remap, looked())).toEqual(['cleared gpu.row_remap.pending']);
    expect(without(remap, looked({}, { job: 'health-check' }))).toEqual(['cleared gpu.row_remap.pending']);
  });

  it('is not made of what is for information alone, nor of what is an event', () => {
    const findings: readonly Finding[] = [{ ...remap, severity: 'info' }, { ...remap, id: 'process.stray' }, { ...remap, id: 'breaker.tripped' }, { ...remap, id: 'limits.not_configured' }];
    expect(changes(decideConditions({ open: [], findings, looked: looked(), now: NOW }))).toEqual([]);
  });
});

describe('an unknown never clears', () => {
  const other = hostOf();
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
    expect(without(finding, looked(), [{ ...remap, id: 'process.unknown', subject: { pid: 4711 } }])).toEqual([]);
  });

  it('gpu.dirty: the decision about the reset does not say that the device is clean', () => {
    const dirty: Finding = { ...remap, id: 'gpu.dirty' };
    const deciding = (more: Partial<Decision>): Looked => looked({}, { decisions: [{ round: 1, verb: 'reset', target: { kind: 'gpu', uuid: GPU0, pciBusId: '00000000:10:00.0', index: 0 }, verdict: 'leave', reason: 'clean', evidence: {}, ...more }] });
    expect(without(dirty, looked())).toEqual([]);
    expect(without(dirty, deciding({ reason: 'process-list-unknown' }))).toEqual([]);
    expect(without(dirty, deciding({ reason: 'not-yet-confirmed' }))).toEqual([]);
    expect(without(dirty, deciding({}))).toEqual(['cleared gpu.dirty']);
    expect(without(dirty, { ...deciding({ verdict: 'act', reason: 'reset-asked' }), outcomes: [{ decision: 0, result: 'failed', reason: null, detail: '' }] })).toEqual([]);
    expect(without(dirty, { ...deciding({ verdict: 'act', reason: 'reset-asked' }), outcomes: [{ decision: 0, result: 'done', reason: null, detail: '' }] })).toEqual(['cleared gpu.dirty']);
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
    expect(without(past, looked({ containers: [runningJob()] }, { job: 'check-idle' }), [], { seenBy })).toEqual([]);
    expect(without(past, looked({ trouble: { ...hostOf().trouble, engine: 'failed' } }, { job: 'check-idle' }), [], { seenBy })).toEqual([]);
  });
});

it('a board that was taken out ends its conditions once it is out of the inventory', () => {
  const gone = { gpus: [gpuState(1)] };
  expect(without(remap, looked(gone, { inventory: new Set([GPU0, GPU1]) }))).toEqual([]);
  expect(without(remap, looked(gone, { inventory: new Set([GPU1]) }))).toEqual(['cleared gpu.row_remap.pending']);
  expect(without(remap, looked({ trouble: { ...hostOf().trouble, driver: 'failed' } }, { inventory: new Set([GPU1]) }))).toEqual([]);
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
