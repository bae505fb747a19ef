import { describe, expect, it } from 'vitest';
import { defaultConfig } from '../../../src/config/defaults.ts';
import { decideVerdict, decisionFindings, observationFindings } from '../../../src/decide/findings.ts';
import type { Decision } from '../../../src/model/decision.ts';
import type { Finding } from '../../../src/model/finding.ts';
import { misread, read } from '../../../src/model/reading.ts';
import type { GpuState, HostState } from '../../property/host.ts';
import { kills, policyOf, resets, secondLook } from '../../property/rules.ts';
import { assessed, GONE, GPU0, GPU1, gpuState, hostOf, orphan, runningJob, STRANGE, worldOf } from './good-case.ts';

function observed(host: Partial<HostState>): readonly string[] {
  return observationFindings(assessed(host), policyOf(defaultConfig())).map(({ id, severity }) => `${id} ${severity}`);
}

function ofBoard(more: Partial<GpuState>): readonly string[] {
  return observed({ gpus: [gpuState(0, more)] });
}

function decided(decisions: readonly Decision[], acts: boolean, more: Partial<Parameters<typeof decisionFindings>[0]> = {}): readonly Finding[] {
  return decisionFindings({ decisions, outcomes: [], trips: [], acts, ...more });
}

const trouble = hostOf().trouble;

describe('what was observed', () => {
  it('is no finding where all is well', () => {
    expect(observed({ containers: [runningJob({ labels: { 'gpuctl.device': GPU0 } })], processes: [orphan()] })).toEqual([]);
  });

  it.each<[string, Partial<HostState>]>([
    ['source.nvidia-smi.failed critical', { trouble: { ...trouble, driver: 'failed' } }],
    ['source.nvidia-smi.partial warning', { trouble: { ...trouble, driver: 'partial' } }],
    ['source.engine.failed critical', { trouble: { ...trouble, engine: 'failed' } }],
    ['source.engine.failed critical', { engine: { kind: 'podman', engineId: null } }],
    ['source.processes.partial warning', { trouble: { ...trouble, proc: 'partial' } }],
    ['claim.unresolved info', { containers: [runningJob({ labels: { 'gpuctl.device': 'GPU-nowhere' } })] }],
  ])('is a finding: %s', (expected, host) => {
    expect(observed(host)).toContain(expected);
  });

  it.each(['failed', 'partial'] as const)('is no claim on a device that does not exist where nvidia-smi %s, for it may well exist', (driver) => {
    const containers = [runningJob({ labels: { 'gpuctl.device': 'GPU-nowhere' } })];
    expect(observed({ containers })).toEqual(['claim.unresolved info']);
    expect(observed({ containers, trouble: { ...trouble, driver } }).filter((each) => each.startsWith('claim.'))).toEqual([]);
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

  it('are the only ones whose rules are worked out for it', () => {
    expect(found(null).asked).toEqual([one.id, other.id]);
  });
});

describe('what was decided', () => {
  const first = assessed({ processes: [orphan()] });
  const second = secondLook(first, hostOf({ processes: [orphan()] }), 2000);
  const kill = kills(first, second, defaultConfig());

  it('is a finding in a report, and none where it is carried out', () => {
    expect(decided(kill, false)).toMatchObject([{ id: 'gpu.orphan', severity: 'warning', subject: { pid: 4711, gpu: GPU0 } }]);
    expect(decided(kill, true)).toEqual([]);
  });

  it.each<['done' | 'already-gone' | 'failed' | 'refused', number]>([['done', 0], ['already-gone', 0], ['failed', 1], ['refused', 1]])('and ended as %s makes %i findings', (result, findings) => {
    expect(decided(kill, true, { outcomes: [{ decision: 0, result, reason: null, detail: '' }] })).toHaveLength(findings);
  });

  it('is a critical finding where the breaker withheld it', () => {
    expect(decided([], true, { trips: [{ verb: 'kill', wanted: 30, allowed: 20 }] })).toMatchObject([{ id: 'breaker.tripped', severity: 'critical' }]);
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
    ['dirty', true, [finding('gpu.dirty.shared', 'warning')]],
    ['dirty', true, [finding('gpu.ghost', 'warning')]],
    ['faulty', true, [finding('gpu.fault', 'critical'), finding('gpu.orphan', 'warning')]],
    ['faulty', false, [finding('gpu.fault', 'critical')]],
  ])('is %s (list known: %j) with %j', (verdict, known, findings) => {
    expect(decideVerdict(GPU0, known, findings)).toBe(verdict);
  });
});

