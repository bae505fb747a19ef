import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ReasonCode } from '../../src/model/reason.ts';
import { HOSTILE_TEXTS } from './generate-claims.ts';
import { runs, type World, world } from './generate.ts';
import { type HostState, idsIn, lookAt, snapshotOf } from './host.ts';
import { mutate, mutation } from './mutations.ts';
import { mayEnd } from './oracle.ts';
import { judged, kills, secondLook } from './rules.ts';

/** Where the rule leaves alone what the naive reading would end, and why that is right. */
const MORE_CAREFUL: readonly ReasonCode[] = [
  // Its server may serve a device whose list is not known.
  'mps-client',
  // An id in a form that only some other engine writes runs.
  'running-container',
  // The first look could not name the owner; the second one alone proves nothing.
  'process-list-unknown',
];

function ended(each: World, later: HostState = each.host, afterMs = each.config.orphans.confirmAfterMs): readonly number[] {
  const first = judged(each);
  return kills(first, secondLook(first, later, afterMs), each.config).filter(({ verdict }) => verdict === 'act').map(({ target }) => target.pid);
}

describe('only orphans are ended', () => {
  it('exactly the processes that the design calls orphans, on hosts that change between the looks', () => {
    fc.assert(fc.property(world, mutation(2), fc.constantFrom(-5000, 0, 1999, 2000, 2000, 2000, 90_000), (each, change, afterMs) => {
      const first = judged(each);
      const later = mutate(each.host, change);
      const second = secondLook(first, later, afterMs);
      const decided = kills(first, second, each.config);
      const listed = [...new Set(each.host.processes.filter(({ rows }) => rows.some(({ gpu }) => isKnown(first, each.host.gpus[gpu]?.uuid))).map(({ pid }) => pid))];
      expect(decided.map(({ target }) => target.pid).toSorted()).toEqual(first.snapshot.driver.state === 'failed' ? [] : listed.toSorted());
      for (const { target, verdict, reason } of decided) {
        const may = second !== null && mayEnd({ ...each, snapshot: snapshotOf(each.host, each.now) }, target.pid, second);
        if (verdict === 'act') expect({ pid: target.pid, reason, may }).toEqual({ pid: target.pid, reason, may: true });
        else if (may) expect(MORE_CAREFUL).toContain(reason);
      }
    }), runs(2500));
  });

  it('names the process that was seen: pid, start time and boot', () => {
    fc.assert(fc.property(world, (each) => {
      const first = judged(each);
      for (const { target, verdict } of kills(first, secondLook(first, each.host, 2000), each.config)) {
        if (verdict !== 'act') continue;
        const process = each.host.processes.find(({ pid }) => pid === target.pid);
        expect(target.identity).toEqual({ pid: target.pid, startTicks: process?.startTicks, bootId: each.host.bootId });
      }
    }), runs(500));
  });

  it('one look ends nobody, nor do two that are too close or out of order', () => {
    fc.assert(fc.property(world, fc.integer({ min: -100_000, max: 1999 }), (each, afterMs) => {
      expect(kills(judged(each), null, each.config).filter(({ verdict }) => verdict === 'act')).toEqual([]);
      expect(ended(each, each.host, afterMs)).toEqual([]);
    }), runs(300));
  });

  it('never pid 1, gpuctl itself or its ancestors, whatever their cgroup says', () => {
    fc.assert(fc.property(world, (each) => {
      const all = each.host.processes.map(({ pid }) => pid);
      expect(ended({ ...each, host: { ...each.host, ownPids: all } }, { ...each.host, ownPids: all })).toEqual([]);
      const first = judged(each);
      const renumbered = { ...each.host, processes: each.host.processes.map((process) => ({ ...process, pid: 1 })) };
      const again = judged({ ...each, host: renumbered });
      expect(kills(again, lookAt(renumbered, { pids: [1], containerIds: [], takenAt: first.snapshot.takenAt + 2000, glance: false }), each.config).filter(({ verdict }) => verdict === 'act')).toEqual([]);
    }), runs(300));
  });

  it.each([
    ['the container of every process runs', (host: HostState): HostState => ({ ...host, oddAnswers: idsOf(host).map((id) => ({ id, answer: 'running' as const })), containers: host.containers.map((each) => (each.inspected ? { ...each, state: 'running' as const } : each)) })],
    ['every process is in a user session besides', (host: HostState): HostState => inCgroup(host, '/user.slice/user-1000.slice/session-3.scope')],
    ['every process is in a pod besides', (host: HostState): HostState => inCgroup(host, '/kubepods.slice/kubepods-pod1.slice/cri-containerd-1.scope')],
    ['every process is in a podman container besides', (host: HostState): HostState => inCgroup(host, '/machine.slice/libpod-1.scope')],
    ['every process is in a Slurm job besides', (host: HostState): HostState => inCgroup(host, '/slurm/uid_1000/job_7/step_0')],
    ['a shim names every container', (host: HostState): HostState => ({ ...host, shims: [{ pid: 9, containerIds: idsOf(host) }] })],
    ['the engine is podman', (host: HostState): HostState => ({ ...host, engine: { kind: 'podman', engineId: null } })],
    ['no process is in a container', (host: HostState): HostState => ({ ...host, processes: host.processes.map((each) => ({ ...each, cgroups: ['/system.slice/ollama.service'] })) })],
  ] as const)('nobody where %s', (_, change) => {
    fc.assert(fc.property(world, (each) => {
      const host = change(each.host);
      expect(ended({ ...each, host }, host)).toEqual([]);
      // Either look alone is enough to protect.
      expect(ended({ ...each, host }, each.host)).toEqual([]);
      expect(ended(each, host)).toEqual([]);
    }), runs(250));
  });

  it('a process in a container of this engine that calls itself the shim of others shields none of them', () => {
    let some = 0;
    fc.assert(fc.property(world, (each) => {
      const [stage] = each.host.containers;
      const known = [...each.history.knownContainerIds, ...each.host.containers.map(({ id }) => id)];
      const pretended = stage === undefined ? [] : known.map((id, n) => ({ pid: 9000 + n, containerIds: [id], inContainers: [stage.id] }));
      const host = { ...each.host, shims: [...each.host.shims, ...pretended] };
      const without = ended(each);
      expect(ended({ ...each, host }, host)).toEqual(without);
      if (pretended.length > 0) some += without.length;
    }), runs(800));
    expect(some).toBeGreaterThan(0);
  });

  it('a process title neither shields nor condemns', () => {
    fc.assert(fc.property(world, fc.constantFrom(...HOSTILE_TEXTS), (each, title) => {
      const renamed = { ...each.host, processes: each.host.processes.map((process) => ({ ...process, title, command: idsIn(process.cgroups).length > 0 ? title : process.command })) };
      expect(ended({ ...each, host: renamed }, renamed)).toEqual(ended(each));
    }), runs(400));
  });
});

function isKnown(first: ReturnType<typeof judged>, uuid: string | undefined): boolean {
  return first.gpus.some((gpu) => gpu.uuid === uuid && gpu.processes.state === 'known');
}

function idsOf(host: HostState): readonly string[] {
  return [...new Set(host.processes.flatMap(({ cgroups }) => (cgroups ?? []).flatMap((path) => path.match(/[0-9a-f]{64}/g) ?? [])))];
}

function inCgroup(host: HostState, path: string): HostState {
  return { ...host, processes: host.processes.map((each) => ({ ...each, cgroups: each.cgroups === null ? null : [...each.cgroups, path] })) };
}
