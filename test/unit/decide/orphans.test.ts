import { describe, expect, it } from 'vitest';
import { defaultConfig } from '../../../src/config/defaults.ts';
import { doubtAbout, pidsToConfirm } from '../../../src/decide/orphans.ts';
import type { Decision, ProcessTarget } from '../../../src/model/decision.ts';
import { observed } from '../../../src/model/observation.ts';
import type { ProcessLook } from '../../../src/model/snapshot.ts';
import { BOOT, ENGINE, gpuUuid, type HostState, lookAt, OTHER_ENGINE, type ProcessState } from '../../property/host.ts';
import { kills, secondLook } from '../../property/rules.ts';
import { assessed, GONE, GPU0, GPU1, gpuState, hostOf, JOB, NOW, orphan, runningJob, stopped } from './good-case.ts';

type Change = Partial<HostState>;

/** What is decided about a host with one orphan, which is `then` at the second look. */
function decide(first: Change = {}, then: Change = {}, afterMs = 2000): readonly Decision<ProcessTarget>[] {
  const host = { processes: [orphan()], ...first };
  const assessment = assessed(host);
  return kills(assessment, secondLook(assessment, hostOf({ ...host, ...then }), afterMs), defaultConfig());
}

function verdicts(decisions: readonly Decision[]): readonly string[] {
  return decisions.map(({ verdict, reason }) => `${verdict} ${reason}`);
}

const GPU2 = gpuUuid(2);
const trouble = hostOf().trouble;

describe('an orphan', () => {
  it('is ended when two looks agree', () => {
    expect(decide()).toMatchObject([{
      verb: 'kill', verdict: 'act', reason: 'orphan-container-gone', round: 1,
      target: { kind: 'process', pid: 4711, name: 'python3 train.py', identity: { pid: 4711, startTicks: 99, bootId: BOOT }, containerId: GONE, gpuUuids: [GPU0] },
      evidence: { confirmedAfterMs: 2000 },
    }]);
  });

  it('of a stopped container is ended with that reason', () => {
    expect(verdicts(decide({ processes: [orphan({ cgroups: [`/docker/${JOB}`] })], containers: [stopped()] }))).toEqual(['act orphan-container-stopped']);
  });

  it('is one candidate, on however many devices', () => {
    expect(decide({ processes: [orphan({ rows: [{ gpu: 1, type: 'C', usedMiB: 1 }, { gpu: 0, type: 'C', usedMiB: 1 }, { gpu: 0, type: 'C', usedMiB: 1 }] })] })).toMatchObject([{ target: { gpuUuids: [GPU0, GPU1] } }]);
  });

  it.each<[string, string, Change, number]>([
    ['leave not-confirmed', 'the looks are too close', {}, 1999],
    ['leave not-confirmed', 'the clock went back between them', {}, -1],
    ['leave process-gone', 'it ended', { processes: [] }, 2000],
    ['leave identity-changed', 'its pid is another process’s', { processes: [orphan({ startTicks: 100 })] }, 2000],
    ['leave identity-changed', 'the host was started again', { bootId: 'another' }, 2000],
    ['leave process-unlisted', 'the driver does not list it any more', { processes: [orphan({ rows: [] })] }, 2000],
    ['leave process-unlisted', 'the driver lists only another process on its device', { processes: [orphan({ rows: [] }), orphan({ pid: 10 })] }, 2000],
    ['leave process-unlisted', 'the driver lists it on another device only', { processes: [orphan({ rows: [{ gpu: 1, type: 'C', usedMiB: 1 }] })] }, 2000],
    ['refuse process-list-unknown', 'the driver does not answer', { trouble: { ...trouble, listed: 'failed' } }, 2000],
    ['refuse process-list-unknown', 'the list of that device is missing', { trouble: { ...trouble, listed: 0 } }, 2000],
    ['refuse process-list-unknown', 'a row belongs to nobody knows which device', { trouble: { ...trouble, listed: 'unattributed' } }, 2000],
    ['act orphan-container-gone', 'the list of another device is missing', { trouble: { ...trouble, listed: 1 } }, 2000],
    ['refuse process-unreadable', 'it is hidden', { processes: [orphan({ presence: 'unreadable' })] }, 2000],
    ['refuse process-unreadable', 'its cgroup cannot be read', { processes: [orphan({ cgroups: null })] }, 2000],
    ['refuse engine-unknown', 'the engine fails', { trouble: { ...trouble, engine: 'failed' } }, 2000],
    ['refuse engine-unknown', 'the engine does not answer for it', { oddAnswers: [{ id: GONE, answer: 'failed' }] }, 2000],
    ['refuse proc-unknown', 'shims cannot be read', { trouble: { ...trouble, shims: 'partial' } }, 2000],
    ['refuse looks-differ', 'its container runs', { oddAnswers: [{ id: GONE, answer: 'running' }] }, 2000],
    ['refuse looks-differ', 'its container is being made', { oddAnswers: [{ id: GONE, answer: 'created' }] }, 2000],
    ['refuse looks-differ', 'a shim names it', { shims: [{ pid: 7, containerIds: [GONE] }] }, 2000],
    ['refuse looks-differ', 'another engine answers', { engine: { kind: 'docker', engineId: OTHER_ENGINE } }, 2000],
    ['refuse looks-differ', 'it moved into a session', { processes: [orphan({ cgroups: ['/user.slice/user-1.slice'] })] }, 2000],
    ['refuse looks-differ', 'it is a zombie', { processes: [orphan({ runState: 'Z' })] }, 2000],
    ['refuse engine-unknown', 'it moved into a container that nobody asked about', { processes: [orphan({ cgroups: [`/docker/${JOB}`] })] }, 2000],
  ])('%s: at the second look %s', (expected, _, then, afterMs) => {
    expect(verdicts(decide({}, then, afterMs))).toEqual([expected]);
  });

  it('is not ended where the ledger knows no engine yet and the looks are at two', () => {
    const host = { processes: [orphan()] };
    const first = assessed(host, { engineId: null });
    expect(verdicts(kills(first, secondLook(first, hostOf(host), 2000), defaultConfig()))).toEqual(['act orphan-container-gone']);
    expect(verdicts(kills(first, secondLook(first, hostOf({ ...host, engine: { kind: 'docker', engineId: OTHER_ENGINE } }), 2000), defaultConfig()))).toEqual(['refuse looks-differ']);
  });

  it('is not ended after one look', () => {
    expect(verdicts(kills(assessed({ processes: [orphan()] }), null, defaultConfig()))).toEqual(['leave not-confirmed']);
  });

  it.each<[string, string, readonly string[]]>([
    ['act orphan-container-gone', 'of other devices alone', [GPU1, GPU2]],
    ['refuse process-list-unknown', 'of its device too', [GPU1, GPU0]],
    ['refuse process-list-unknown', 'of nobody knows which too', [GPU1, 'a row without a device']],
  ])('%s where the second look lacks the lists %s', (expected, _, missing) => {
    const first = assessed({ processes: [orphan()] });
    const second = secondLook(first, hostOf({ processes: [orphan()] }), 2000);
    if (second === null) throw new Error('no second look');
    const listed = observed([{ gpuUuid: GPU0, pid: 4711 }], missing.map((subject) => ({ subject, why: 'cut' })));
    expect(verdicts(kills(first, { ...second, listed }, defaultConfig()))).toEqual([expected]);
  });

  it('is not ended where a second look says nothing of it', () => {
    const first = assessed({ processes: [orphan()] });
    const second = secondLook(first, hostOf({ processes: [orphan()] }), 2000);
    expect(verdicts(kills(first, second === null ? null : { ...second, processes: [] }, defaultConfig()))).toEqual(['refuse process-unreadable']);
  });

  it('that is somebody’s at the second look is shown with whose it is then', () => {
    expect(decide({}, { oddAnswers: [{ id: GONE, answer: 'running' }] })).toMatchObject([{ reason: 'looks-differ', evidence: { owner: { kind: 'orphan' }, ownerAgain: { kind: 'container', containerId: GONE } } }]);
  });

  it('that is stuck at both looks is a finding; at one look it was only busy', () => {
    const stuck = { processes: [orphan({ runState: 'D' })] };
    expect(verdicts(decide(stuck))).toEqual(['leave stuck']);
    expect(verdicts(decide(stuck, { processes: [orphan()] }))).toEqual(['act orphan-container-gone']);
    expect(verdicts(decide({}, stuck))).toEqual(['act orphan-container-gone']);
  });

  it('that only draws is left alone, and one of an unknown type too', () => {
    const typed = (type: 'G' | 'C+G' | 'other'): ProcessState => orphan({ rows: [{ gpu: 0, type, usedMiB: 1 }] });
    expect(verdicts(decide({ processes: [typed('G')] }))).toEqual(['leave not-compute']);
    expect(verdicts(decide({ processes: [typed('other')] }))).toEqual(['leave not-compute']);
    expect(verdicts(decide({ processes: [typed('C+G')] }))).toEqual(['act orphan-container-gone']);
    expect(verdicts(decide({ processes: [orphan({ rows: [{ gpu: 0, type: 'C', usedMiB: 1 }, { gpu: 1, type: 'G', usedMiB: 1 }] })] }))).toEqual(['act orphan-container-gone']);
  });
});

describe('who is no orphan at the first look', () => {
  it.each<[string, Change]>([
    ['leave running-container', { processes: [orphan({ cgroups: [`/docker/${JOB}`] })], containers: [runningJob()] }],
    ['leave container-not-settled', { processes: [orphan({ cgroups: [`/docker/${JOB}`] })], containers: [stopped({ state: 'created' })] }],
    ['leave other-manager', { processes: [orphan({ cgroups: ['/kubepods.slice'] })] }],
    ['leave foreign-shim-alive', { processes: [orphan({ cgroups: [`/docker/${'9'.repeat(64)}`] })], shims: [{ pid: 7, containerIds: ['9'.repeat(64)] }] }],
    ['leave foreign-pid-namespace', { processes: [orphan({ cgroups: [`/docker/${'9'.repeat(64)}`], pidNamespace: 'other' })] }],
    ['leave host-stray', { processes: [orphan({ cgroups: ['/'] })] }],
    ['leave host-permitted', { processes: [orphan({ cgroups: ['/system.slice/nvidia-dcgm.service'] })] }],
    ['leave zombie', { processes: [orphan({ runState: 'Z' })] }],
    ['leave own-process', { processes: [orphan({ pid: 50 })] }],
    ['refuse process-unreadable', { processes: [orphan({ presence: 'unreadable' })] }],
    ['refuse process-unreadable', { processes: [orphan({ presence: 'unread' })] }],
    ['refuse engine-unknown', { processes: [orphan()], oddAnswers: [{ id: GONE, answer: 'failed' }] }],
    ['refuse engine-unknown', { processes: [orphan()], trouble: { ...trouble, engine: 'failed' } }],
    ['refuse process-unreadable', { processes: [orphan()], trouble: { ...trouble, proc: 'failed' } }],
  ])('%s, and needs no second look', (expected, first) => {
    expect(verdicts(decide(first))).toEqual([expected]);
    const assessment = assessed({ processes: [orphan()], ...first });
    expect(pidsToConfirm(assessment.snapshot, assessment.rules)).toEqual([]);
  });

  it('is nobody’s business where the process list of the device is not known', () => {
    expect(decide({ gpus: [gpuState(0, { listUnknown: 'swallowed' })] })).toEqual([]);
  });

  it('is nobody where nvidia-smi failed', () => {
    expect(decide({ trouble: { ...trouble, driver: 'failed' } })).toEqual([]);
  });
});

describe('a ghost', () => {
  const ghost = { processes: [orphan({ presence: 'absent' })] };

  it('is listed and not there, twice', () => {
    expect(verdicts(decide(ghost))).toEqual(['leave ghost']);
  });

  it('is one beside others that are there', () => {
    expect(verdicts(decide({ processes: [orphan({ pid: 10 }), ...ghost.processes] }))).toEqual(['act orphan-container-gone', 'leave ghost']);
  });

  it('is not confirmed by one look', () => {
    expect(verdicts(kills(assessed(ghost), null, defaultConfig()))).toEqual(['leave not-confirmed']);
  });

  it.each<[string, string, Change]>([
    ['leave not-confirmed', 'is hidden', { processes: [orphan({ presence: 'unreadable' })] }],
    ['leave not-confirmed', 'is there', { processes: [orphan()] }],
    ['leave process-gone', 'is not listed any more: it ended while it was being looked at', { processes: [] }],
    ['leave not-confirmed', 'may be listed or not', { trouble: { ...trouble, listed: 'failed' } }],
  ])('%s where at the second look it %s', (expected, _, then) => {
    expect(verdicts(decide(ghost, then))).toEqual([expected]);
  });

  it('that only draws is not confirmed: the second list is of compute processes alone', () => {
    expect(verdicts(decide({ processes: [orphan({ presence: 'absent', rows: [{ gpu: 0, type: 'G', usedMiB: 1 }] })] }))).toEqual(['leave not-confirmed']);
  });

  it('is nothing that a signal could be sent to', () => {
    expect(decide(ghost)).toMatchObject([{ target: { identity: null } }]);
  });
});

describe('a client of MPS', () => {
  const client = (pid: number, gpus: readonly number[], more: Partial<ProcessState> = {}): ProcessState => orphan({ pid, startTicks: pid, rows: gpus.map((gpu) => ({ gpu, type: 'M+C', usedMiB: 1 })), ...more });
  const alive: Partial<ProcessState> = { cgroups: ['/system.slice/ollama.service'] };

  it('is ended where its server has no other', () => {
    expect(verdicts(decide({ processes: [client(10, [0])] }))).toEqual(['act orphan-container-gone']);
  });

  it('is ended together with the others, where all are orphans', () => {
    expect(verdicts(decide({ processes: [client(10, [0]), client(11, [0])] }))).toEqual(['act orphan-container-gone', 'act orphan-container-gone']);
  });

  it('is spared where another lives, and says who', () => {
    expect(decide({ processes: [client(10, [0]), client(11, [0], alive)] })).toMatchObject([{ verdict: 'refuse', reason: 'mps-client', evidence: { mpsPeers: [11] } }, { reason: 'host-stray' }]);
  });

  it('is spared where another was an orphan at the first look only', () => {
    const processes = [client(10, [0]), client(11, [0])];
    expect(verdicts(decide({ processes }, { processes: [client(10, [0]), client(11, [0], { startTicks: 12 })] }))).toEqual(['refuse mps-client', 'leave identity-changed']);
  });

  it('is spared where one is spared that it shares a device with, however far the living one is', () => {
    const processes = [client(10, [0]), client(11, [0, 1]), client(12, [1], alive)];
    expect(verdicts(decide({ processes }))).toEqual(['refuse mps-client', 'refuse mps-client', 'leave host-stray']);
  });

  it('is spared where it computes without MPS on another device', () => {
    expect(verdicts(decide({ processes: [client(10, [0], { rows: [{ gpu: 0, type: 'M+C', usedMiB: 1 }, { gpu: 1, type: 'C', usedMiB: 1 }] }), client(11, [0], alive)] }))).toEqual(['refuse mps-client', 'leave host-stray']);
  });

  it('is ended though somebody computes beside it without MPS', () => {
    expect(verdicts(decide({ processes: [client(10, [0]), orphan({ pid: 11, ...alive })] }))).toEqual(['act orphan-container-gone', 'leave host-stray']);
  });

  it.each<[string, string, Change]>([
    ['a process list is not known', GPU1, { gpus: [gpuState(0), gpuState(1, { listUnknown: 'swallowed' })] }],
    ['a device was not described', gpuState(1).pciBusId, { gpus: [gpuState(1), gpuState(0)], trouble: { ...trouble, driver: 'partial' } }],
  ])('is spared where %s: others may be there', (_, unseen, change) => {
    const on = change.trouble === undefined ? 0 : 1;
    expect(decide({ ...change, processes: [client(10, [on])] })).toMatchObject([{ verdict: 'refuse', reason: 'mps-client', evidence: { mpsPeers: [], unseenDevices: [unseen] } }]);
    expect(verdicts(decide({ ...change, processes: [orphan({ rows: [{ gpu: on, type: 'C', usedMiB: 1 }] })] }))).toEqual(['act orphan-container-gone']);
  });
});

describe('the question before a signal', () => {
  const host = hostOf({ processes: [orphan()] });
  const glance = (later: HostState): ProcessLook => lookAt(later, { pids: [4711], containerIds: [GONE], takenAt: NOW, glance: true });
  const ask = (later: Partial<HostState>): ReturnType<typeof doubtAbout> => doubtAbout({
    identity: { pid: 4711, startTicks: 99, bootId: BOOT }, gpuUuids: [GPU0], look: glance({ ...host, ...later }), mustBeListed: false,
    rules: { engineId: ENGINE, knownContainerIds: new Set([GONE]), permit: { uids: new Set(), units: [], names: [] } },
  });

  it('is answered without the driver', () => {
    expect(ask({})).toBeNull();
  });

  it.each<[string, Partial<HostState>, string]>([
    ['it has ended', { processes: [] }, 'leave process-gone'],
    ['it is another process', { processes: [orphan({ startTicks: 1 })] }, 'leave identity-changed'],
    ['it is hidden', { processes: [orphan({ presence: 'unreadable' })] }, 'refuse process-unreadable'],
    ['the boot is another', { bootId: 'another' }, 'leave identity-changed'],
    ['its container runs', { oddAnswers: [{ id: GONE, answer: 'running' }] }, 'refuse looks-differ'],
    ['the engine is another', { engine: { kind: 'docker', engineId: OTHER_ENGINE } }, 'refuse looks-differ'],
    ['the engine is silent', { trouble: { ...trouble, engine: 'failed' } }, 'refuse engine-unknown'],
    ['a shim names it', { shims: [{ pid: 7, containerIds: [GONE] }] }, 'refuse looks-differ'],
    ['it is gpuctl now', { ownPids: [4711] }, 'refuse looks-differ'],
  ])('stops the signal where %s', (_, later, expected) => {
    const doubt = ask(later);
    expect(`${doubt?.verdict} ${doubt?.reason}`).toBe(expected);
  });
});
