import { describe, expect, it } from 'vitest';
import { defaultConfig } from '../../../src/config/defaults.ts';
import type { Config } from '../../../src/config/types.ts';
import { blockersIn, decideReset } from '../../../src/decide/reset.ts';
import type { Decision, GpuTarget } from '../../../src/model/decision.ts';
import type { History } from '../../../src/model/history.ts';
import { complete } from '../../../src/model/observation.ts';
import { read } from '../../../src/model/reading.ts';
import { type GpuState, type HostState, OTHER_ENGINE } from '../../property/host.ts';
import { type Before, judged, resets } from '../../property/rules.ts';
import { GONE, GPU0, gpuState, HOUR, hostOf, JOB, MINUTE, NOW, orphan, runningJob, stopped, worldOf } from './good-case.ts';

interface Case {
  readonly gpu?: Partial<GpuState>;
  readonly host?: Partial<HostState>;
  readonly history?: Partial<History>;
  readonly config?: Config;
  readonly before?: Partial<Before>;
}

/** What is decided about a board that asks for a reset and to which nothing refers, after one change. */
function decide({ gpu = {}, host = {}, history = {}, config = defaultConfig(), before = {} }: Case = {}): Decision<GpuTarget> {
  const world = worldOf({ gpus: [gpuState(0, { recovery: read('reset'), ...gpu })], ...host }, history, config);
  const [decision] = resets(judged(world), world, { orphanEnded: false, ghosts: [], ...before });
  if (decision === undefined) throw new Error('no decision');
  return decision;
}

function verdict(one: Case): string {
  const { verdict: word, reason } = decide(one);
  return `${word} ${reason}`;
}

function blockers(one: Case): readonly string[] {
  return blockersIn(decide(one)).map(({ kind, hard }) => `${kind} ${hard ? 'hard' : 'yielding'}`);
}

function policy(word: Config['reset']['policy']): Config {
  const base = defaultConfig();
  return { ...base, reset: { ...base.reset, policy: word } };
}

const trouble = hostOf().trouble;
const resetAgo = (...ages: readonly number[]): Partial<History> => ({ resets: ages.map((age) => ({ gpuUuid: GPU0, at: NOW - age, succeeded: true })) });
const asking = { deviceRequests: [{ driver: '', count: 0, deviceIds: ['0'], capabilities: [['gpu']] }] };
const idle = { rows: [], cgroups: ['/'] };

describe('a reset is done', () => {
  it('of exactly the GPU that asks for it, by bus id', () => {
    expect(decide()).toMatchObject({ verb: 'reset', verdict: 'act', reason: 'reset-asked', target: { kind: 'gpu', uuid: GPU0, pciBusId: '00000000:10:00.0', index: 0 } });
  });

  it.each<[string, Case]>([
    ['reset-asked', { gpu: { recovery: read('drain-and-reset') } }],
    ['repair-pending', { gpu: { recovery: read('none'), repairPending: 'yes' } }],
    ['dirty-ghost', { gpu: { recovery: read('none') }, host: { processes: [orphan({ presence: 'absent', holds: [] })] }, before: { ghosts: [4711] } }],
    ['dirty-memory', { gpu: { recovery: read('none'), unexplainedMiB: 1025 }, before: { orphanEnded: true } }],
  ])('because of %s', (reason, one) => {
    expect(verdict(one)).toBe(`act ${reason}`);
  });

  it.each<[string, Case]>([
    ['MIG is not supported', { gpu: { mig: 'unsupported', migPending: 'unsupported' } }],
    ['the driver knows no MIG', { gpu: { mig: 'absent', migPending: 'absent' } }],
    ['the board has no display', { gpu: { display: 'unsupported' } }],
    ['its cool-down is over', { history: resetAgo(6 * HOUR) }],
    ['it was reset twice today', { history: resetAgo(7 * HOUR, 14 * HOUR) }],
    ['it was reset often, but not today', { history: resetAgo(25 * HOUR, 26 * HOUR, 27 * HOUR) }],
    ['another board was reset a minute ago', { history: { resets: [{ gpuUuid: 'GPU-other', at: NOW - MINUTE, succeeded: true }] } }],
    ['somebody holds another board’s node', { host: { processes: [orphan({ ...idle, holds: [1] })] } }],
    ['a privileged container has no node open', { host: { containers: [runningJob({ privileged: true })] } }],
    ['a container refers to another board', { host: { containers: [runningJob({ deviceNodes: ['/dev/nvidia5'] })] } }],
    ['the allocation was released', { host: { containers: [stopped(asking)] }, history: { allocations: [{ containerId: JOB, containerName: 'job', startedAt: NOW - 3 * HOUR, gpuUuid: GPU0, migUuid: null, owner: null, observedAt: 0, releasedAt: NOW - MINUTE, releaseReason: 'hold-expired' }] } }],
  ])('although %s', (_, one) => {
    expect(verdict(one)).toBe('act reset-asked');
  });
});

describe('a reset is blocked by', () => {
  it.each<[string, string, Case]>([
    ['a container that claims the device', 'container-claim', { host: { containers: [runningJob(asking)] } }],
    ['a stopped container within its hold', 'container-claim', { host: { containers: [stopped(asking)] } }],
    ['a container that could not be inspected', 'uninspected-container', { host: { containers: [{ inspected: false, id: JOB, name: 'job', state: 'exited', why: 'timeout' }] } }],
    ['an engine that does not answer', 'claims-unknown', { host: { trouble: { ...trouble, engine: 'failed' } } }],
    ['an engine that is not the right one', 'claims-unknown', { host: { engine: { kind: 'docker', engineId: OTHER_ENGINE } } }],
    ['an engine that forgot a container', 'claims-unknown', { host: { shims: [{ pid: 7, containerIds: [GONE] }] } }],
    ['a process list that is not known', 'process-list-unknown', { gpu: { listUnknown: 'swallowed' } }],
    ['a process of an orphan', 'live-process', { host: { processes: [orphan({ holds: [] })] } }],
    ['a process that only draws', 'live-process', { host: { processes: [orphan({ rows: [{ gpu: 0, type: 'G', usedMiB: 1 }], holds: [] })] } }],
    ['a zombie that is listed', 'live-process', { host: { processes: [orphan({ runState: 'Z', holds: [] })] } }],
    ['a process that is permitted', 'live-process', { host: { processes: [orphan({ cgroups: ['/system.slice/nvidia-dcgm.service'], holds: [] })] } }],
    ['open files that could not be seen', 'holders-unknown', { host: { trouble: { ...trouble, proc: 'partial' } } }],
    ['somebody who has the node open', 'node-holder', { host: { processes: [orphan(idle)] } }],
    ['a process above gpuctl that has it open', 'node-holder', { host: { processes: [orphan({ ...idle, pid: 50 })] } }],
    ['somebody who has any node open, where the minor number is not known', 'node-holder', { gpu: { minorNumber: null }, host: { processes: [orphan({ ...idle, holds: [7] })] } }],
    ['somebody who only calls himself nvidia-persistenced', 'node-holder', { host: { processes: [orphan({ ...idle, command: 'nvidia-persiste', uid: 1000 })] } }],
    ['root of a container who calls himself so', 'node-holder', { host: { processes: [orphan({ ...idle, command: 'nvidia-persiste', uid: 0, cgroups: [`/docker/${GONE}`] })] } }],
    ['a unit of that name inside a container', 'node-holder', { host: { processes: [orphan({ ...idle, cgroups: [`/docker/${GONE}/system.slice/nvidia-persistenced.service`] })] } }],
    ['a user’s unit of that name', 'node-holder', { host: { processes: [orphan({ ...idle, cgroups: ['/user.slice/user-1000.slice/user@1000.service/nvidia-persistenced.service'] })] } }],
    ['a group of that name below another service, which it may name as it likes', 'node-holder', { host: { processes: [orphan({ ...idle, cgroups: ['/system.slice/other.service/nvidia-persistenced.service'] })] } }],
    ['one of whom no cgroup is known', 'node-holder', { host: { processes: [orphan({ ...idle, command: 'nvidia-persiste', uid: 0, cgroups: null })] } }],
    ['MIG', 'mig-enabled', { gpu: { mig: 'yes' } }],
    ['MIG that comes on with the reset', 'mig-enabled', { gpu: { migPending: 'yes' } }],
    ['a MIG mode that could not be read', 'mig-unknown', { gpu: { mig: 'error' } }],
    ['a pending MIG mode that could not be read', 'mig-unknown', { gpu: { migPending: 'error' } }],
    ['a display', 'display-active', { gpu: { display: 'yes' } }],
    ['a display that could not be read', 'display-active', { gpu: { display: 'error' } }],
    ['what the driver reports', 'device-unknown', { gpu: { faults: ['GPU is lost'] } }],
    ['a reset five hours ago', 'cool-down', { history: resetAgo(5 * HOUR) }],
    ['a reset in the future: a clock jumped', 'cool-down', { history: resetAgo(-HOUR) }],
    ['three resets today', 'quarantine', { history: resetAgo(7 * HOUR, 14 * HOUR, 21 * HOUR) }],
    ['its quarantine', 'quarantine', { history: { quarantined: [GPU0] } }],
  ])('%s', (_, kind, one) => {
    expect(blockers(one)).toEqual([`${kind} hard`]);
    expect(verdict(one)).toBe('refuse blocked');
  });

  it('a failed reset as well as by one that went well', () => {
    expect(blockers({ history: { resets: [{ gpuUuid: GPU0, at: NOW - MINUTE, succeeded: false }] } })).toEqual(['cool-down hard']);
  });

  it('/proc, where that failed: whoever has the node open was not seen', () => {
    expect(blockers({ host: { trouble: { ...trouble, proc: 'failed' } }, history: { knownContainerIds: [] } })).toEqual(['holders-unknown hard']);
  });

  it('a look that did not ask who has the node open, as passes that never reset do', () => {
    const world = worldOf({ gpus: [gpuState(0, { recovery: read('reset') })] });
    const { snapshot } = judged(world);
    const unasked = snapshot.processes.state === 'complete' ? { ...snapshot, processes: complete({ ...snapshot.processes.value, holders: null }) } : snapshot;
    const [decision] = resets(judged(world, unasked), world, { orphanEnded: false, ghosts: [] });
    expect(decision).toMatchObject({ verdict: 'refuse', reason: 'blocked', evidence: { blockers: [{ kind: 'holders-unknown', hard: true }] } });
  });

  it('whoever has the node open under the pid of a ghost: the pid is another process’s by now', () => {
    const again = orphan({ ...idle, presence: 'unread' });
    expect(blockers({ host: { processes: [orphan({ presence: 'absent', holds: [] }), again] } })).toEqual(['node-holder hard']);
  });

  it('all of it, and each blocker says what it is and what helps', () => {
    const one: Case = { gpu: { mig: 'yes', display: 'yes' }, host: { containers: [runningJob(asking)], processes: [orphan(), orphan({ ...idle, pid: 12 })] }, history: resetAgo(MINUTE, 2 * MINUTE, 3 * MINUTE) };
    expect(blockers(one).toSorted()).toEqual(['container-claim hard', 'cool-down hard', 'display-active hard', 'live-process hard', 'mig-enabled hard', 'node-holder hard', 'quarantine hard'].toSorted());
    for (const { what, wayOut } of blockersIn(decide(one))) expect(Math.min(what.length, wayOut.length)).toBeGreaterThan(0);
  });

  it.each([['created', 'remove it'], ['exited', 'remove it'], ['running', 'stop it'], ['paused', 'stop it']] as const)('a container that is %s, with what helps against that one: %s', (state, way) => {
    const [blocker] = blockersIn(decide({ host: { containers: [runningJob({ ...asking, state })] } }));
    expect(blocker?.wayOut).toMatch(new RegExp(`^${way}`));
  });

  it('a container once, however often it refers to the device', () => {
    expect(blockers({ host: { containers: [runningJob({ ...asking, deviceNodes: ['/dev/nvidia0'], labels: { 'gpuctl.device': GPU0 } })] } })).toEqual(['container-claim hard']);
  });
});

describe('nvidia-persistenced', () => {
  it.each<[string, Partial<HostState['processes'][number]>]>([
    ['by its unit', { cgroups: ['/system.slice/nvidia-persistenced.service'], uid: 107 }],
    ['as root', { command: 'nvidia-persiste', uid: 0, cgroups: ['/system.slice'] }],
  ])('is known %s, and yields', (_, process) => {
    const one: Case = { host: { processes: [orphan({ ...idle, ...process })] } };
    expect(blockers(one)).toEqual(['persistence-daemon yielding']);
    expect(verdict(one)).toBe('act reset-asked');
  });
});

describe('a reset is not called for', () => {
  it.each<[string, string, Case]>([
    ['leave clean', 'the board is well', { gpu: { recovery: read('none') } }],
    ['leave clean', 'the board asks for a reboot: that is a finding', { gpu: { recovery: read('reboot') } }],
    ['leave clean', 'the board asks for what nobody knows: that is a finding', { gpu: { recovery: read('other') } }],
    ['leave clean', 'what is unexplained is within the tolerance', { gpu: { recovery: read('none'), unexplainedMiB: 1024 } }],
    ['leave not-yet-confirmed', 'memory is in use that nobody explains, since now', { gpu: { recovery: read('none'), unexplainedMiB: 1025 } }],
    ['leave process-list-unknown', 'nor are the processes', { gpu: { recovery: read('none'), unexplainedMiB: null, listUnknown: 'swallowed' } }],
    ['leave memory-unknown', 'its memory is not known', { gpu: { recovery: read('none'), unexplainedMiB: null } }],
    ['leave memory-unknown', 'the memory of a process is not known', { gpu: { recovery: read('none'), unexplainedMiB: 9999 }, host: { processes: [orphan({ rows: [{ gpu: 0, type: 'C', usedMiB: null }] })] } }],
  ])('%s: %s', (expected, _, one) => {
    expect(verdict(one)).toBe(expected);
  });

  it.each<[Case['gpu'], Decision['evidence']]>([
    [{ unexplainedMiB: 1025 }, { unexplainedMiB: 1025 }],
    [{ unexplainedMiB: null }, { why: 'the memory of the device or of a process on it is not known' }],
    [{}, {}],
  ])('and the evidence says by what: %j', (gpu, evidence) => {
    const decision = decide({ gpu: { recovery: read('none'), ...gpu } });
    expect([decision.evidence, blockersIn(decision)]).toEqual([evidence, []]);
  });
});

describe('the policy', () => {
  it('may forbid it for good, or without an orphan that was ended', () => {
    expect(verdict({ config: policy('never') })).toBe('refuse policy-never');
    expect(verdict({ config: policy('never'), before: { orphanEnded: true } })).toBe('refuse policy-never');
    expect(verdict({ config: policy('after-orphans') })).toBe('refuse policy-after-orphans');
    expect(verdict({ config: policy('after-orphans'), before: { orphanEnded: true } })).toBe('act reset-asked');
  });

  it('hides no blocker', () => {
    expect(verdict({ config: policy('never'), gpu: { mig: 'yes' } })).toBe('refuse blocked');
  });

  it.each([['act asked-by-hand', 'no'], ['refuse blocked', 'yes']] as const)('does not count where an admin asks, the blockers do: %s', (expected, mig) => {
    const world = worldOf({ gpus: [gpuState(0, { mig })] });
    const { gpus: [gpu], snapshot: { engine, processes }, claims: { claims }, ownership, history } = judged(world);
    if (gpu === undefined) throw new Error('the good case has a GPU');
    const decision = decideReset({ gpu, engine, processes, claims, ownership, history, rules: defaultConfig().reset, now: NOW, round: 1, dirt: { kind: 'clean' }, policy: 'never', orphanEnded: false, byHand: true });
    expect(`${decision.verdict} ${decision.reason}`).toBe(expected);
  });
});
