import { describe, expect, it } from 'vitest';
import { decideOwnership, type Ownership, type PermitRules } from '../../../src/decide/ownership.ts';
import type { ContainerState } from '../../../src/model/container.ts';
import { ENGINE, type HostState, idsIn, lookAt, OTHER_ENGINE, type ProcessState } from '../../property/host.ts';
import { assessed, GONE, hostOf, JOB, NOW, orphan, runningJob, STRANGE, stopped } from './good-case.ts';

interface Case {
  readonly process?: Partial<ProcessState>;
  readonly host?: Partial<HostState>;
  readonly engineId?: string | null;
  readonly permit?: Partial<PermitRules>;
  /** A container that nobody asked the engine about. */
  readonly unasked?: string;
}

/** Whose an orphan is, after one change. */
function ownerOf({ process = {}, host = {}, engineId = ENGINE, permit = {}, unasked }: Case = {}): Ownership {
  const one = orphan(process);
  const seen = hostOf({ ...host, processes: [one] });
  const all = lookAt(seen, { pids: [one.pid], containerIds: idsIn(one.cgroups), takenAt: NOW, glance: false });
  const look = { ...all, answers: all.answers.filter(({ containerId }) => containerId !== unasked) };
  const [found] = look.processes;
  if (found === undefined) throw new Error('no process');
  return decideOwnership(found, look, { engineId, knownContainerIds: new Set([GONE, JOB]), permit: { uids: new Set(), units: [], names: [], ...permit } });
}

function reasonOf(one: Case): readonly [string, string] {
  const { kind, reason } = ownerOf(one);
  return [kind, reason];
}

describe('a process of a container', () => {
  it('that is gone is an orphan', () => {
    expect(ownerOf()).toEqual({ kind: 'orphan', reason: 'orphan-container-gone', containerId: GONE, name: null });
  });

  it.each<[ContainerState, string, string]>([
    ['exited', 'orphan', 'orphan-container-stopped'], ['dead', 'orphan', 'orphan-container-stopped'],
    ['running', 'container', 'running-container'], ['paused', 'container', 'running-container'], ['restarting', 'container', 'running-container'], ['unknown', 'container', 'running-container'],
    ['created', 'unsettled', 'container-not-settled'], ['removing', 'unsettled', 'container-not-settled'],
  ])('that is %s is %s', (state, kind, reason) => {
    expect(reasonOf({ process: { cgroups: [`/docker/${JOB}`] }, host: { containers: [stopped({ state })] } })).toEqual([kind, reason]);
  });

  it('is named with its container', () => {
    expect(ownerOf({ process: { cgroups: [`/docker/${JOB}`] }, host: { containers: [stopped()] } })).toMatchObject({ containerId: JOB, name: 'job' });
  });

  it.each<[string, Case, string, string]>([
    ['the engine does not answer', { host: { trouble: { driver: 'none', proc: 'none', engine: 'failed', listed: 'none', shims: 'none' } } }, 'unknown', 'engine-unknown'],
    ['the engine does not answer for that id', { host: { oddAnswers: [{ id: GONE, answer: 'failed' }] } }, 'unknown', 'engine-unknown'],
    ['another engine answers', { host: { engine: { kind: 'docker', engineId: OTHER_ENGINE } } }, 'foreign', 'foreign-engine-changed'],
    ['an engine answers that does not say who it is', { host: { engine: { kind: 'docker', engineId: null } } }, 'unknown', 'engine-unknown'],
    ['podman answers', { host: { engine: { kind: 'podman', engineId: null } } }, 'foreign', 'foreign-podman'],
    ['a shim still names it', { host: { shims: [{ pid: 7, containerIds: [STRANGE, GONE] }] } }, 'foreign', 'foreign-shim-alive'],
    ['shims could not be looked for', { host: { trouble: { driver: 'none', proc: 'none', engine: 'none', listed: 'none', shims: 'failed' } } }, 'unknown', 'proc-unknown'],
    ['a shim could not be read', { host: { trouble: { driver: 'none', proc: 'none', engine: 'none', listed: 'none', shims: 'partial' } } }, 'unknown', 'proc-unknown'],
    ['its cgroup cannot be read', { process: { cgroups: null } }, 'unknown', 'process-unreadable'],
    ['it is hidden', { process: { presence: 'unreadable' } }, 'unknown', 'process-unreadable'],
    ['it does not exist', { process: { presence: 'absent' } }, 'ghost', 'ghost'],
    ['it is dead and not collected', { process: { runState: 'Z' } }, 'zombie', 'zombie'],
    ['it is dead and about to be gone', { process: { runState: 'X' } }, 'zombie', 'zombie'],
    ['it is pid 1', { process: { pid: 1 } }, 'own', 'own-process'],
    ['it is pid 1, whoever gpuctl is', { process: { pid: 1 }, host: { ownPids: [] } }, 'own', 'own-process'],
    ['it is gpuctl or above it', { process: { pid: 51 } }, 'own', 'own-process'],
  ])('is not ended where %s', (_, change, kind, reason) => {
    expect(reasonOf(change)).toEqual([kind, reason]);
  });

  describe('that calls itself a shim is evidence', () => {
    const shim = (named: string, ...inContainers: readonly string[]): Partial<HostState> => ({ shims: [{ pid: 7, containerIds: [named], ...(inContainers.length > 0 && { inContainers }) }] });

    it('for nothing where it is in a container of this engine, and names another one of it', () => {
      expect(reasonOf({ host: { ...shim(GONE, JOB), containers: [runningJob()] } })).toEqual(['orphan', 'orphan-container-gone']);
      expect(reasonOf({ process: { cgroups: [`/docker/${STRANGE}`] }, host: { ...shim(STRANGE, JOB), containers: [runningJob(), stopped({ id: STRANGE })] } })).toEqual(['orphan', 'orphan-container-stopped']);
      // Started since the ledger was written: the engine's answer about it counts.
      expect(reasonOf({ host: { ...shim(GONE, STRANGE), containers: [runningJob({ id: STRANGE })] } })).toEqual(['orphan', 'orphan-container-gone']);
    });

    it.each<[string, Case]>([
      ['it is in no container', { host: shim(GONE) }],
      ['it is in a container that this engine never had', { host: shim(GONE, STRANGE) }],
      ['it is in one that this engine never had and names one that it has', { process: { cgroups: [`/docker/${JOB}`] }, host: { ...shim(JOB, STRANGE), containers: [stopped()] } }],
      ['nobody asked about the container that it is in', { host: shim(GONE, STRANGE), unasked: STRANGE }],
      ['the engine does not tell of the container that it is in', { host: { ...shim(GONE, STRANGE), oddAnswers: [{ id: STRANGE, answer: 'failed' }] } }],
      ['it names one that this engine never had, as an engine in a container would', { process: { cgroups: [`/docker/${STRANGE}`] }, host: shim(STRANGE, JOB) }],
    ])('where %s', (_, change) => {
      expect(reasonOf(change)).toEqual(['foreign', 'foreign-shim-alive']);
    });
  });

  it('is judged by a ledger that knows no engine yet as by one that knows this one', () => {
    expect(reasonOf({ engineId: null })).toEqual(['orphan', 'orphan-container-gone']);
  });
});

describe('an id that this engine never had', () => {
  const strange: Partial<ProcessState> = { cgroups: [`/docker/${STRANGE}`] };

  it('is an orphan’s in the pid namespace of the host', () => {
    expect(reasonOf({ process: strange })).toEqual(['orphan', 'orphan-container-gone']);
  });

  it.each(['other', 'unknown'] as const)('is somebody else’s where the pid namespace is %s', (pidNamespace) => {
    expect(reasonOf({ process: { ...strange, pidNamespace } })).toEqual(['foreign', 'foreign-pid-namespace']);
  });

  it('needs no such evidence where the engine says that it stopped', () => {
    expect(reasonOf({ process: { ...strange, pidNamespace: 'other' }, host: { containers: [stopped({ id: STRANGE })] } })).toEqual(['orphan', 'orphan-container-stopped']);
  });

  it('needs none where the ledger knows it', () => {
    expect(reasonOf({ process: { pidNamespace: 'other' } })).toEqual(['orphan', 'orphan-container-gone']);
  });
});

describe('an id counts', () => {
  it.each<[string, readonly string[]]>([
    ['cgroupfs', [`/docker/${GONE}`]], ['cgroupfs below a parent', [`/gpu/docker/${GONE}`]], ['systemd', [`/system.slice/docker-${GONE}.scope`]],
    ['in one hierarchy of several', ['/', `/docker/${GONE}`, '/init.scope']], ['with something below it', [`/docker/${GONE}/worker`]],
  ])('as Docker writes it: %s', (_, cgroups) => {
    expect(ownerOf({ process: { cgroups } }).kind).toBe('orphan');
  });

  it.each<[string, readonly string[]]>([
    ['63 digits', [`/docker/${GONE.slice(1)}`]], ['65 digits', [`/docker/${GONE}0`]], ['upper case', [`/docker/${GONE.replace('a', 'A').toUpperCase()}`]], ['a name before it', [`/docker/x${GONE}`]],
    ['another folder', [`/foo/${GONE}`]], ['something between', [`/docker/x/${GONE}`]], ['another scope', [`/system.slice/podman-${GONE}.scope`]], ['a service', [`/system.slice/docker-${GONE}.service`]],
  ])('only so: not with %s', (_, cgroups) => {
    expect(['stray', 'permitted']).toContain(ownerOf({ process: { cgroups } }).kind);
  });

  it('for protection in any form: a running container is running', () => {
    expect(reasonOf({ process: { cgroups: [`/foo/${JOB}`] }, host: { containers: [runningJob()] } })).toEqual(['container', 'running-container']);
  });

  it.each<[string, readonly string[], string]>([
    ['runs outside', [`/docker/${JOB}/docker/${STRANGE}`], 'running-container'],
    ['runs inside', [`/docker/${GONE}/docker/${JOB}`], 'running-container'],
    ['runs in another hierarchy', [`/docker/${GONE}`, `/docker/${JOB}`], 'running-container'],
  ])('with every other one of a nest: where one %s, it is that one’s', (_, cgroups, reason) => {
    expect(ownerOf({ process: { cgroups }, host: { containers: [runningJob()] } }).reason).toBe(reason);
  });

  it.each([[[runningJob(), runningJob({ id: STRANGE, name: 'inner' })]], [[runningJob({ id: STRANGE, name: 'inner' }), runningJob()]]])('for the innermost one that runs: a container of mine below the cgroup of another one is mine', (containers) => {
    // The engine lists them in any order.
    const owner = assessed({ processes: [orphan({ cgroups: [`/docker/${JOB}/${STRANGE}`] })], containers }).ownership.get(4711);
    expect(owner).toMatchObject({ kind: 'container', containerId: STRANGE, name: 'inner' });
  });

  it('for nobody’s doing where it is that of a container of this engine which is over, below one that runs: it is neither ended nor a claim of that one', () => {
    const containers = [runningJob(), stopped({ id: STRANGE, name: 'left' })];
    expect(ownerOf({ process: { cgroups: [`/docker/${JOB}/${STRANGE}`] }, host: { containers } })).toEqual({ kind: 'unsettled', reason: 'container-not-settled', containerId: STRANGE });
    expect(reasonOf({ process: { cgroups: [`/docker/${JOB}/${GONE}`] }, host: { containers: [runningJob()] } })).toEqual(['unsettled', 'container-not-settled']);
    expect(reasonOf({ process: { cgroups: ['/', `/docker/${JOB}/${GONE}`] }, host: { containers: [runningJob()] } })).toEqual(['unsettled', 'container-not-settled']);
    expect(reasonOf({ process: { cgroups: [`/docker/${JOB}/${STRANGE}`] }, host: { containers: [runningJob(), stopped({ id: STRANGE, state: 'dead' })] } })).toEqual(['unsettled', 'container-not-settled']);
    expect(reasonOf({ process: { cgroups: [`/docker/${JOB}/${STRANGE}`, `/docker/${JOB}`] }, host: { containers } })).toEqual(['container', 'running-container']);
    expect(reasonOf({ process: { cgroups: [`/docker/${JOB}/${STRANGE}`] }, host: { containers }, unasked: STRANGE })).toEqual(['container', 'running-container']);
  });

  it('in a nest only where all of them are gone', () => {
    const cgroups = [`/docker/${GONE}/docker/${STRANGE}`];
    expect(reasonOf({ process: { cgroups } })).toEqual(['orphan', 'orphan-container-gone']);
    expect(reasonOf({ process: { cgroups, pidNamespace: 'other' } })).toEqual(['foreign', 'foreign-pid-namespace']);
    expect(reasonOf({ process: { cgroups }, host: { containers: [stopped({ id: STRANGE, state: 'created' })] } })).toEqual(['unsettled', 'container-not-settled']);
    expect(reasonOf({ process: { cgroups }, host: { containers: [stopped({ id: STRANGE })] } })).toEqual(['orphan', 'orphan-container-stopped']);
    expect(reasonOf({ process: { cgroups }, host: { oddAnswers: [{ id: STRANGE, answer: 'failed' }] } })).toEqual(['unknown', 'engine-unknown']);
    expect(reasonOf({ process: { cgroups }, host: { shims: [{ pid: 7, containerIds: [GONE] }] } })).toEqual(['foreign', 'foreign-shim-alive']);
  });
});

describe('another manager’s element anywhere makes a process theirs', () => {
  it.each([
    `/user.slice/user-1000.slice/user@1000.service/app.slice/docker-${GONE}.scope`, `/user.slice/docker-${GONE}.scope`, `/machine.slice/machine-vm.scope/docker/${GONE}`, `/kubepods/besteffort/pod1/docker/${GONE}`,
    `/kubepods.slice/kubepods-burstable.slice/docker-${GONE}.scope`, `/system.slice/docker-${GONE}.scope/kubepods.slice`, `/libpod_parent/libpod-1/docker/${GONE}`, `/lxc/box/docker/${GONE}`, `/lxc.payload.box/docker/${GONE}`,
    `/slurm/uid_1/job_2/docker/${GONE}`, `/system.slice/slurmstepd.scope/job_7/docker/${GONE}`, `/nerdctl-x/docker/${GONE}`, `/system.slice/cri-containerd-${STRANGE}.scope/docker/${GONE}`, `/crio-${STRANGE}.scope/docker/${GONE}`,
  ])('%s', (path) => {
    expect(reasonOf({ process: { cgroups: [path] } })).toEqual(['theirs', 'other-manager']);
    expect(reasonOf({ process: { cgroups: [`/docker/${GONE}`, path] } })).toEqual(['theirs', 'other-manager']);
  });

  it('but not a word that only contains one', () => {
    expect(ownerOf({ process: { cgroups: [`/my-user.slices/docker/${GONE}`] } }).kind).toBe('orphan');
  });
});

describe('a process in no container', () => {
  const bare: Partial<ProcessState> = { cgroups: ['/system.slice/ollama.service'] };

  it('is a stray', () => {
    expect(ownerOf({ process: bare })).toEqual({ kind: 'stray', reason: 'host-stray', unit: 'ollama.service' });
  });

  it.each([['/'], ['/custom/slice'], ['/system.slice/x.service.d']])('is in no unit in %s', (cgroup) => {
    expect(ownerOf({ process: { cgroups: [cgroup] } })).toEqual({ kind: 'stray', reason: 'host-stray', unit: null });
  });

  it.each<[string, Case]>([
    ['its unit', { process: bare, permit: { units: ['other.service', 'ollama.service'] } }],
    ['its user', { process: { ...bare, uid: 42 }, permit: { uids: new Set([42]) } }],
    ['its name, as root', { process: { ...bare, uid: 0, command: 'Xorg' }, permit: { names: ['other', 'Xorg'] } }],
    ['a name that the kernel cut', { process: { ...bare, uid: 0, command: 'nvidia-cuda-mps' }, permit: { names: ['nvidia-cuda-mps-server'] } }],
  ])('is permitted by %s', (_, one) => {
    expect(ownerOf(one).kind).toBe('permitted');
  });

  it.each<[string, Case]>([
    ['a name of somebody who is not root', { process: { ...bare, uid: 1000, command: 'Xorg' }, permit: { names: ['Xorg'] } }],
    ['a name of nobody knows whom', { process: { ...bare, uid: null, command: 'Xorg' }, permit: { names: ['Xorg'] } }],
    ['a title', { process: { ...bare, uid: 0, title: 'Xorg' }, permit: { names: ['Xorg'] } }],
    ['a unit above its own', { process: { cgroups: ['/system.slice/nvidia-dcgm.service/x.service'] }, permit: { units: ['nvidia-dcgm.service'] } }],
    ['root in somebody else’s container', { process: { cgroups: [`/ecs/task/${STRANGE}`], uid: 0, command: 'Xorg' }, permit: { names: ['Xorg'] } }],
    ['a user in somebody else’s container', { process: { cgroups: [`/ecs/task/${STRANGE}`], uid: 42 }, permit: { uids: new Set([42]) } }],
  ])('is not permitted by %s', (_, one) => {
    expect(ownerOf(one).kind).toBe('stray');
  });

  it.each<[string, Case]>([
    ['its name', { process: { uid: 0, command: 'Xorg' }, permit: { names: ['Xorg'] } }],
    ['its user', { process: { uid: 42 }, permit: { uids: new Set([42]) } }],
    ['a unit inside', { process: { cgroups: [`/docker/${GONE}/system.slice/nvidia-dcgm.service`] }, permit: { units: ['nvidia-dcgm.service'] } }],
  ])('is not what an orphan becomes by %s', (_, one) => {
    expect(ownerOf(one).kind).toBe('orphan');
  });
});
