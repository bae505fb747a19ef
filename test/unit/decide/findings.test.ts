import { describe, expect, it } from 'vitest';
import { defaultConfig } from '../../../src/config/defaults.ts';
import type { Policy } from '../../../src/decide/assess.ts';
import { decideVerdict, decisionFindings, leftAfterResets, observationFindings } from '../../../src/decide/findings.ts';
import { heldUpRemedy } from '../../../src/decide/held-up.ts';
import type { InspectedContainer } from '../../../src/model/container.ts';
import type { Decision, GpuTarget, Outcome, ProcessTarget, Result } from '../../../src/model/decision.ts';
import type { Finding } from '../../../src/model/finding.ts';
import { type Gap, type Observed, observed } from '../../../src/model/observation.ts';
import { misread, read } from '../../../src/model/reading.ts';
import type { Snapshot } from '../../../src/model/snapshot.ts';
import type { GpuState, HostState } from '../../property/host.ts';
import { kills, policyOf, resets, secondLook } from '../../property/rules.ts';
import { assessed, GONE, GPU0, GPU1, gpuState, hostOf, JOB, MIG10, migState, orphan, runningJob, STRANGE, worldOf } from './good-case.ts';

function told(host: Partial<HostState>): readonly string[] {
  return observationFindings(assessed(host), policyOf(defaultConfig())).map(({ id, severity }) => `${id} ${severity}`);
}

function ofBoard(more: Partial<GpuState>): readonly string[] {
  return told({ gpus: [gpuState(0, more)] });
}

function decided(decisions: readonly Decision[], acts: boolean, more: Partial<Parameters<typeof decisionFindings>[0]> = {}): readonly Finding[] {
  return decisionFindings({ decisions, outcomes: [], trips: [], acts, ...more });
}

const trouble = hostOf().trouble;

/** The same source, with something missing. */
function observedAs<T>(source: Observed<T>, ...missing: readonly Gap[]): Observed<T> {
  if (source.state !== 'complete') throw new Error('not complete');
  return observed(source.value, missing);
}

describe('what was observed', () => {
  it('is no finding where all is well', () => {
    expect(told({ containers: [runningJob({ labels: { 'gpuctl.device': GPU0 } })], processes: [orphan()] })).toEqual([]);
  });

  it.each<[string, Partial<HostState>]>([
    ['source.nvidia-smi.failed critical', { trouble: { ...trouble, driver: 'failed' } }],
    ['source.nvidia-smi.partial warning', { trouble: { ...trouble, driver: 'partial' } }],
    ['source.engine.failed critical', { trouble: { ...trouble, engine: 'failed' } }],
    ['source.engine.failed critical', { engine: { kind: 'podman', engineId: null } }],
    ['source.processes.partial warning', { trouble: { ...trouble, proc: 'partial' } }],
    ['claim.unresolved info', { containers: [runningJob({ labels: { 'gpuctl.device': 'GPU-nowhere' } })] }],
  ])('is a finding: %s', (expected, host) => {
    expect(told(host)).toContain(expected);
  });

  const found = (host: Partial<HostState>, change: Partial<Snapshot> = {}): readonly Finding[] => {
    const seen = assessed(host);
    return observationFindings({ ...seen, snapshot: { ...seen.snapshot, ...change } }, policyOf(defaultConfig()));
  };
  const heldUp = { inspected: false, id: GONE, name: 'job', state: 'running', why: 'it hangs', heldUpBy: 812 } as const;
  const SMI = 'try nvidia-smi -q -x by hand; nothing is done to what was not seen';
  const DOCKER = 'try docker ps by hand; nothing is released, ended or reset without the engine';

  it.each<[string, () => readonly Finding[], Finding]>([
    ['an nvidia-smi that failed', () => found({ trouble: { ...trouble, driver: 'failed' } }), { id: 'source.nvidia-smi.failed', severity: 'critical', subject: {}, message: 'nvidia-smi: nvidia-smi hung', remedy: SMI }],
    ['a board that nvidia-smi left out', () => found({ trouble: { ...trouble, driver: 'partial' } }), { id: 'source.nvidia-smi.partial', severity: 'warning', subject: {}, message: 'nvidia-smi: 00000000:10:00.0: it was not described', remedy: SMI }],
    ['a board that lacks something', () => found({}, { driver: observedAs(assessed().snapshot.driver, { subject: GPU0, why: 'cut' }) }), { id: 'source.nvidia-smi.partial', severity: 'warning', subject: { gpu: GPU0 }, message: `nvidia-smi: ${GPU0}: cut`, remedy: SMI }],
    ['an engine that failed', () => found({ trouble: { ...trouble, engine: 'failed' } }), { id: 'source.engine.failed', severity: 'critical', subject: {}, message: 'engine: the engine did not answer', remedy: DOCKER }],
    ['a container that the engine could not inspect', () => found({ containers: [{ ...heldUp, heldUpBy: undefined } as never] }), { id: 'source.engine.partial', severity: 'warning', subject: { container: GONE }, message: `engine: ${GONE}: it hangs`, remedy: DOCKER }],
    ['a container that the kernel holds up', () => found({ containers: [heldUp] }), { id: 'source.engine.partial', severity: 'warning', subject: { container: GONE }, message: `engine: ${GONE}: it hangs`, remedy: heldUpRemedy(assessed({ containers: [heldUp] }).snapshot.engine, GONE) ?? '' }],
    ['processes that could not be read', () => found({ trouble: { ...trouble, proc: 'partial' } }), { id: 'source.processes.partial', severity: 'warning', subject: {}, message: 'processes: holders: the open files of 3 processes are not readable', remedy: 'run as root' }],
    ['a gap about more than a container id', () => found({}, { processes: observedAs(assessed().snapshot.processes, { subject: `container ${GONE}`, why: 'cut' }) }), { id: 'source.processes.partial', severity: 'warning', subject: {}, message: `processes: container ${GONE}: cut`, remedy: 'run as root' }],
    ['a gap about a longer id', () => found({}, { processes: observedAs(assessed().snapshot.processes, { subject: `${GONE}0`, why: 'cut' }) }), { id: 'source.processes.partial', severity: 'warning', subject: {}, message: `processes: ${GONE}0: cut`, remedy: 'run as root' }],
    ['a label that names no device', () => found({ containers: [runningJob({ labels: { 'gpuctl.device': 'GPU-no"where' } })] }), { id: 'claim.unresolved', severity: 'info', subject: { container: JOB }, message: 'container job refers by label to "GPU-no\\"where", which is no device of this host', remedy: 'correct the reference, or ignore it' }],
    ['a label that makes a container part of the host', () => found({ containers: [runningJob({ labels: { 'gpuctl.infrastructure': 'true' } })] }), {
      id: 'container.infrastructure.unlisted', severity: 'info', subject: { container: JOB },
      message: 'container job says by a label that it is part of the host, which has no effect: the configuration does not list it', remedy: 'list its name or image under infrastructure, or ignore it',
    }],
  ])('says of %s what it is and what to do', (_, findings, expected) => {
    expect(findings()).toEqual([expected]);
  });

  it('says that the clock jumped and that a board is in quarantine, as the ledger knows', () => {
    const seen = assessed({}, { quarantined: [GPU1], clock: [{ number: 2, bootId: 'b', fromAt: 0, fromUptimeMs: 0, seenUptimeMs: 0, untilUptimeMs: 0, jumpMs: 7_200_000 }] });
    expect(observationFindings(seen, policyOf(defaultConfig())).map(({ id }) => id)).toEqual(['host.clock.jumped', 'gpu.quarantined']);
  });

  it('counts for nothing that a stopped container says it is part of the host, or one that the configuration lists', () => {
    const labels = { 'gpuctl.infrastructure': 'true' };
    const ids = (container: Partial<InspectedContainer>, policy: Policy = policyOf(defaultConfig())): readonly string[] => observationFindings(assessed({ containers: [runningJob({ labels, ...container })] }), policy).map(({ id }) => id);
    expect(ids({})).toEqual(['container.infrastructure.unlisted']);
    expect(ids({ state: 'exited' })).toEqual([]);
    expect(ids({ labels: {} })).toEqual([]);
    const policy = policyOf(defaultConfig());
    expect(ids({}, { ...policy, rulesOf: (container) => ({ ...policy.rulesOf(container), infrastructure: true }) })).toEqual([]);
    const { infrastructureLabels: _, ...unasked } = policy;
    expect(ids({}, unasked)).toEqual([]);
  });

  it('is judged by the health rules of the policy', () => {
    const seen = assessed({ gpus: [gpuState(0, { faults: ['GPU is lost'] })] });
    const policy = policyOf(defaultConfig());
    expect(observationFindings(seen, { ...policy, health: { disabled: new Set(['gpu.fault']), thresholds: {} } })).toEqual([]);
    expect(observationFindings(seen, policy).map(({ id }) => id)).toEqual(['gpu.fault']);
  });

  it.each(['failed', 'partial'] as const)('is no claim on a device that does not exist where nvidia-smi %s, for it may well exist', (driver) => {
    const containers = [runningJob({ labels: { 'gpuctl.device': 'GPU-nowhere' } })];
    expect(told({ containers })).toEqual(['claim.unresolved info']);
    expect(told({ containers, trouble: { ...trouble, driver } }).filter((each) => each.startsWith('claim.'))).toEqual([]);
  });

  it.each<[string, Partial<GpuState>]>([
    ['gpu.fault critical', { faults: ['GPU is lost'] }], ['gpu.recovery.reset critical', { recovery: read('reset') }], ['gpu.recovery.other critical', { recovery: read('other') }],
    ['gpu.row_remap.pending warning', { repairPending: 'yes' }], ['gpu.mig.pending warning', { migPending: 'yes' }], ['gpu.processes.unknown warning', { listUnknown: 'swallowed' }],
  ])('of a board is a finding: %s', (expected, more) => {
    expect(ofBoard(more)).toEqual([expected]);
  });

  it.each<[string, Partial<GpuState>]>([['recovery', { recovery: misread('Unknown Error') }], ['MIG mode', { mig: 'error' }], ['repair', { repairPending: 'error' }]])('of a board is none where its %s could not be read: a fault says so', (_, more) => {
    expect(ofBoard(more)).toEqual([]);
  });
});

describe('two live containers on one device', () => {
  const one = runningJob({ labels: { 'gpuctl.device': GPU0 } });
  const other = runningJob({ id: GONE, name: 'dcgm', labels: { 'gpuctl.device': GPU0 } });
  const third = runningJob({ id: STRANGE, name: 'elsewhere', labels: { 'gpuctl.device': GPU1 } });
  const policy = policyOf(defaultConfig());
  const found = (infrastructure: string | null): { readonly ids: readonly string[]; readonly asked: readonly string[] } => {
    const asked: string[] = [];
    const rulesOf: typeof policy.rulesOf = (container) => {
      asked.push(container.id);
      return { ...policy.rulesOf(container), infrastructure: container.id === infrastructure };
    };
    const findings = observationFindings(assessed({ containers: [one, other, third] }), { ...policy, rulesOf });
    return { ids: findings.map(({ id }) => id), asked };
  };

  it('are a conflict, unless one of them is infrastructure', () => {
    expect(found(null).ids).toEqual(['gpu.allocation.conflict']);
    expect(found(other.id).ids).toEqual([]);
    expect(found(third.id).ids).toEqual(['gpu.allocation.conflict']);
  });

  it('are named, with their device', () => {
    const all = observationFindings(assessed({ containers: [one, other, third] }), policy);
    expect(all).toEqual([{ id: 'gpu.allocation.conflict', severity: 'warning', subject: { gpu: GPU0 }, message: '2 live containers claim one device: job, dcgm', remedy: 'stop all but one, or list a monitoring container under infrastructure' }]);
  });

  it('are told under the MIG device that both claim', () => {
    const labels = { 'gpuctl.device': MIG10 };
    const all = observationFindings(assessed({ gpus: [gpuState(0), migState(1)], containers: [{ ...one, labels }, { ...other, labels }] }), policy);
    expect(all).toMatchObject([{ id: 'gpu.allocation.conflict', subject: { gpu: GPU1, mig: MIG10 } }]);
  });

  it('are the only ones whose rules are worked out for it', () => {
    expect(found(null).asked).toEqual([one.id, other.id]);
  });
});

describe('what was decided', () => {
  const first = assessed({ processes: [orphan()] });
  const second = secondLook(first, hostOf({ processes: [orphan()] }), 2000);
  const kill = kills(first, second, defaultConfig());
  const process: ProcessTarget = { kind: 'process', identity: null, pid: 4711, name: 'python3', containerId: GONE, gpuUuids: [GPU0] };
  const leave: Decision = { round: 1, verb: 'kill', target: process, verdict: 'leave', reason: 'running-container', evidence: {} };

  it('is a finding in a report, and none where it is carried out', () => {
    expect(decided(kill, false)).toMatchObject([{ id: 'gpu.orphan', severity: 'warning', subject: { pid: 4711, gpu: GPU0 } }]);
    expect(decided(kill, true)).toEqual([]);
  });

  it.each<['done' | 'already-gone' | 'failed' | 'refused', number]>([['done', 0], ['already-gone', 0], ['failed', 1], ['refused', 1]])('and ended as %s makes %i findings', (result, findings) => {
    expect(decided(kill, true, { outcomes: [{ decision: 0, result, reason: null, detail: '' }] })).toHaveLength(findings);
  });

  it('is told with the process, its title as it may be shown, and why', () => {
    expect(decided(kill, false)).toEqual([{
      id: 'gpu.orphan', severity: 'warning', subject: { pid: 4711, gpu: GPU0, container: GONE },
      message: 'process 4711 ("python3 train.py"): its container is gone from the engine that ran it', remedy: 'gpuctl release-stale or health-check --repair ends it',
    }]);
    const stray = { ...process, containerId: null, gpuUuids: [], name: 'a\u001b[2J' };
    expect(decided([{ ...leave, target: stray, reason: 'host-stray' }], true)).toStrictEqual([{
      id: 'process.stray', severity: 'warning', subject: { pid: 4711 },
      message: 'process 4711 ("a\\u001b[2J"): it is in no container, and nothing in the configuration permits it', remedy: 'permit its user or unit under orphans.permit, or ask its owner',
    }]);
  });

  it('and is nothing to tell makes none: a process of a running container, a release', () => {
    expect(decided([{ ...leave, target: process, reason: 'running-container' }], true)).toEqual([]);
    const target = { kind: 'allocation', containerId: JOB, containerName: 'job', startedAt: 0, gpuUuid: GPU0, migUuid: null } as const;
    expect(decided([{ ...leave, verb: 'release', verdict: 'refuse', target, reason: 'containers-unknown' }], true)).toEqual([]);
  });

  it('is told by the outcome of its own, whatever became of the others', () => {
    const two = [...kill, ...kill];
    expect(decided(two, true, { outcomes: [{ decision: 1, result: 'failed', reason: null, detail: '' }, { decision: 0, result: 'done', reason: null, detail: '' }] })).toHaveLength(1);
    expect(decided(two, false, { outcomes: [{ decision: 0, result: 'done', reason: null, detail: '' }] })).toHaveLength(2);
  });

  it('and concerns a container is told as such', () => {
    const target = { kind: 'container', containerId: JOB, containerName: 'job', startedAt: 0, owner: null } as const;
    expect(decided([{ ...leave, verb: 'stop', verdict: 'act', target, reason: 'idle-limit' }], true, { outcomes: [{ decision: 0, result: 'failed', reason: null, detail: 'it hangs' }] }).map(({ id }) => id)).toEqual(['container.stop.failed']);
  });

  it('is a critical finding where the breaker withheld it', () => {
    expect(decided([], true, { trips: [{ verb: 'kill', wanted: 30, allowed: 20 }] })).toEqual([{
      id: 'breaker.tripped', severity: 'critical', subject: {}, message: 'this pass wanted 30 acts of the kind kill, 20 are allowed: none was done', remedy: 'look at the plan, then run by hand with --over-budget',
    }]);
  });

  const gpu = (uuid = GPU0): GpuTarget => ({ kind: 'gpu', uuid, pciBusId: '00000000:10:00.0', index: 0 });
  const reset = (more: Partial<Decision>): Decision => ({ round: 1, verb: 'reset', target: gpu(), verdict: 'act', reason: 'reset-asked', evidence: { want: 'reset-asked', blockers: [] }, ...more });
  const outcomeOf = (result: Result, detail: string): { readonly outcomes: readonly Outcome[] } => ({ outcomes: [{ decision: 0, result, reason: null, detail }] });
  const blocked = [
    { kind: 'node-holder', hard: true, what: 'process 7 (Xorg) has /dev/nvidia0 open', wayOut: 'end process 7' },
    { kind: 'persistence-daemon', hard: false, what: 'nvidia-persistenced has it open', wayOut: 'nothing to do' },
    { kind: 'display-active', hard: true, what: 'a display is active on it', wayOut: 'stop the display server' },
  ] as const;

  it.each<[string, Decision, Partial<Parameters<typeof decisionFindings>[0]>, readonly Partial<Finding>[]]>([
    ['a board that is in order', reset({ verdict: 'leave', reason: 'clean', evidence: {} }), {}, []],
    ['one of which nothing is known', reset({ verdict: 'leave', reason: 'process-list-unknown', evidence: { why: 'cut' } }), {}, []],
    ['a device with a decision that is no reset', reset({ verb: 'alert', verdict: 'leave', reason: 'clean', evidence: {} }), {}, []],
    ['memory that nothing explains, not for long', reset({ verdict: 'leave', reason: 'not-yet-confirmed', evidence: { unexplainedMiB: 3000 } }), {}, [
      { id: 'gpu.memory.unexplained', severity: 'info', message: '3000 MiB are in use that no process explains', remedy: 'if it lasts, the device is reset when nothing refers to it' }]],
    ['what blocks a reset, each with its way out', reset({ verdict: 'refuse', reason: 'blocked', evidence: { want: 'reset-asked', blockers: blocked } }), {}, [
      { id: 'gpu.dirty', severity: 'warning', message: 'a reset is called for (the board asks for a reset): process 7 (Xorg) has /dev/nvidia0 open; a display is active on it', remedy: 'end process 7; stop the display server' }]],
    ['a policy that forbids it', reset({ verdict: 'refuse', reason: 'policy-never' }), {}, [
      { id: 'gpu.dirty', severity: 'warning', message: 'a reset is called for (the board asks for a reset): reset.policy forbids it', remedy: 'gpuctl reset does it by hand, whatever reset.policy says' }]],
    ['a policy that waits for an orphan', reset({ verdict: 'refuse', reason: 'policy-after-orphans' }), {}, [{ remedy: 'gpuctl reset does it by hand, whatever reset.policy says' }]],
    ['one that failed', reset({}), outcomeOf('failed', 'nvidia-smi: in use'), [
      { id: 'gpu.dirty', severity: 'warning', message: 'a reset is called for (the board asks for a reset): nvidia-smi: in use', remedy: 'gpuctl release-stale or health-check --repair does it' }]],
    ['one that is wanted for a reason of no name', reset({ verdict: 'refuse', reason: 'policy-never', evidence: { want: 'something else', blockers: [] } }), {}, [
      { id: 'gpu.dirty', message: 'a reset is called for (reset.policy forbids it): reset.policy forbids it' }]],
    ['one asked for by hand that is blocked', reset({ verdict: 'refuse', reason: 'blocked', evidence: { want: 'asked-by-hand', blockers: blocked } }), {}, [
      { id: 'reset.blocked', severity: 'warning', message: 'the reset that was asked for was not done: process 7 (Xorg) has /dev/nvidia0 open; a display is active on it', remedy: 'end process 7; stop the display server' }]],
    ['one asked for by hand that failed', reset({ reason: 'asked-by-hand', evidence: { want: 'asked-by-hand', blockers: [] } }), outcomeOf('failed', 'nvidia-smi: in use'), [
      { id: 'reset.blocked', severity: 'warning', message: 'the reset that was asked for was not done: nvidia-smi: in use', remedy: 'gpuctl history tells more' }]],
  ])('about a reset is told, for %s', (_, decision, more, expected) => {
    const findings = decided([decision], true, more);
    expect(findings).toMatchObject(expected);
    expect(findings.map(({ subject }) => subject)).toEqual(expected.map(() => ({ gpu: GPU0 })));
  });

  it('about each reset is told with what became of that one', () => {
    const failedAs = (decision: number, detail: string): Outcome => ({ decision, result: 'failed', reason: null, detail });
    const both = decided([reset({}), reset({ target: gpu(GPU1) })], true, { outcomes: [failedAs(1, 'in use'), failedAs(0, 'it hangs')] });
    expect(both.map(({ subject, message }) => [subject.gpu, message])).toEqual([[GPU0, 'a reset is called for (the board asks for a reset): it hangs'], [GPU1, 'a reset is called for (the board asks for a reset): in use']]);
  });

  it('about a ghost is none where its every device was reset', () => {
    const ghost: Decision = { ...leave, target: { ...process, gpuUuids: [GPU0, GPU1] }, reason: 'ghost' };
    const done = (...decisions: readonly number[]): { readonly outcomes: readonly Outcome[] } => ({ outcomes: decisions.map((decision) => ({ decision, result: 'done', reason: null, detail: '' })) });
    const all = [ghost, reset({}), reset({ target: gpu(GPU1) })];
    const ids = (decisions: readonly Decision[], more: { readonly outcomes: readonly Outcome[] }): readonly string[] => decided(decisions, true, more).map(({ id }) => id);
    expect(ids(all, done())).toEqual(['gpu.ghost']);
    expect(ids(all, done(1))).toEqual(['gpu.ghost']);
    expect(ids(all, done(1, 2))).toEqual([]);
    expect(ids(all, { outcomes: [{ decision: 1, result: 'failed', reason: null, detail: '' }, ...done(2).outcomes] })).toEqual(['gpu.ghost', 'gpu.dirty']);
    expect(ids([{ ...ghost, reason: 'zombie' }, ...all.slice(1)], done(1, 2)), 'a zombie is its parent’s').toEqual(['process.zombie']);
    expect(ids([ghost, ...kill, reset({ target: gpu(GPU1) })], done(1, 2)), 'a process that was ended is no device that was reset').toEqual(['gpu.ghost']);
  });

  it.each<[string, Partial<HostState>]>([
    ['gpu.dirty.mig', { gpus: [gpuState(0, { recovery: read('reset'), mig: 'yes' })] }],
    ['gpu.dirty.shared', { gpus: [gpuState(0, { recovery: read('reset') })], containers: [runningJob({ labels: { 'gpuctl.device': GPU0 } })] }],
    ['gpu.dirty', { gpus: [gpuState(0, { recovery: read('reset'), display: 'yes' })] }],
  ])('and blocked is told as %s, with every blocker', (id, host) => {
    const world = worldOf(host);
    const findings = decided(resets(assessed(host), world, { orphanEnded: false, ghosts: [] }), true);
    expect(findings).toMatchObject([{ id, severity: 'warning', subject: { gpu: GPU0 } }]);
    expect(findings[0]?.remedy).not.toBe('');
  });
});

describe('a dry run', () => {
  const left = (id: string, subject: Finding['subject'], decisions: readonly Decision[]): number => leftAfterResets([{ id, severity: 'warning', subject, message: '', remedy: '' }], decisions).length;
  const plan = (more: Partial<Decision> = {}): readonly Decision[] => [{ round: 1, verb: 'reset', target: { kind: 'gpu', uuid: GPU0, pciBusId: '', index: 0 }, verdict: 'act', reason: 'reset-asked', evidence: {}, ...more }];

  it('counts as gone what the resets that it plans take away', () => {
    for (const id of ['gpu.recovery.reset', 'gpu.ghost', 'gpu.ghost_memory', 'gpu.xid.95']) expect([id, left(id, { gpu: GPU0 }, plan())]).toEqual([id, 0]);
  });

  it('and nothing else: what a reset does not help, another device, a reset that is not planned', () => {
    for (const id of ['gpu.row_remap.failed', 'gpu.xid.13.repeated', 'xid.gpu.xid.13', 'gpu.lost']) expect([id, left(id, { gpu: GPU0 }, plan())]).toEqual([id, 1]);
    expect(left('gpu.recovery.reset', { gpu: GPU1 }, plan())).toBe(1);
    expect(left('gpu.recovery.reset', {}, plan())).toBe(1);
    expect(left('gpu.recovery.reset', { gpu: GPU0 }, plan({ verdict: 'refuse' }))).toBe(1);
    expect(left('gpu.recovery.reset', { gpu: GPU0 }, plan({ verb: 'alert' }))).toBe(1);
  });
});

describe('the verdict about a device', () => {
  const finding = (id: string, severity: Finding['severity'], gpu = GPU0): Finding => ({ id, severity, subject: { gpu }, message: '', remedy: '' });

  it.each<[string, boolean, readonly Finding[]]>([
    ['clean', true, []],
    ['clean', true, [finding('gpu.memory.unexplained', 'info')]],
    ['clean', true, [finding('gpu.orphan', 'warning', 'GPU-other')]],
    ['unknown', false, []],
    ['unknown', false, [finding('gpu.orphan', 'warning')]],
    ['unknown', true, [finding('process.unknown', 'warning')]],
    ['orphans', true, [finding('gpu.orphan', 'warning'), finding('gpu.dirty', 'warning')]],
    ['clean', true, [finding('gpu.mps_client', 'warning')]],
    ['orphans', true, [finding('gpu.mps_client', 'warning'), finding('gpu.orphan', 'warning')]],
    ['unknown', true, [finding('gpu.orphan', 'warning'), finding('process.unknown', 'warning')]],
    ['faulty', true, [finding('gpu.orphan', 'warning'), finding('gpu.fault', 'critical')]],
    ['dirty', true, [finding('gpu.dirty.shared', 'warning'), finding('gpu.mps_client', 'warning')]],
    ['dirty', true, [finding('gpu.dirty.shared', 'warning')]],
    ['dirty', true, [finding('gpu.ghost', 'warning')]],
    ['faulty', true, [finding('gpu.fault', 'critical'), finding('gpu.orphan', 'warning')]],
    ['faulty', false, [finding('gpu.fault', 'critical')]],
  ])('is %s (list known: %j) with %j', (verdict, known, findings) => {
    expect(decideVerdict(GPU0, known, findings)).toBe(verdict);
  });
});

