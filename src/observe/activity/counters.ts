import { readlinkSync } from 'node:fs';
import type { ContainerCounters } from '../../model/activity.ts';
import type { InspectedContainer } from '../../model/container.ts';
import { absent, misread, read, type Reading, unsupported } from '../../model/reading.ts';
import type { ActivityObserver } from '../../passes/ports.ts';
import { attempt, readText } from '../proc/read.ts';
import { readState } from '../proc/state.ts';
import { otherThread } from '../proc/threads.ts';
import { cpuFiles, parseHierarchies, parseMounts, type CpuFile, type Mounts } from './cgroup-cpu.ts';
import { parseNetwork } from './network.ts';

/** Where the kernel shows what it counts. */
export interface CounterRoots {
  readonly proc: string;
}

/** Reads CPU time from the container's cgroup and traffic from its network namespace: file reads alone, about 0.1 ms a container. */
export function createActivityObserver({ proc }: CounterRoots = { proc: '/proc' }): ActivityObserver {
  return {
    counters: async (containers) => {
      const mounts = readMounts(proc);
      const ownNetwork = readNamespace(`${proc}/self`);
      return containers.filter((each): each is InspectedContainer => each.inspected).map((each) => countersOf(each, { proc, mounts, ownNetwork }));
    },
  };
}

interface Place {
  readonly proc: string;
  readonly mounts: Mounts | null;
  /** Null: unreadable. */
  readonly ownNetwork: string | null;
}

/**
 * The first process is looked at before and after: a pid that was re-used in between, or that is not in a cgroup of this
 * container's id, is not this container's, and then nothing of it is known.
 */
function countersOf({ id, startedAt, pid }: InspectedContainer, place: Place): ContainerCounters {
  const unknown = (why: string): ContainerCounters => ({ containerId: id, startedAt, cpuNs: misread(why), networkBytes: misread(why) });
  if (pid === null) return unknown('it has no process');
  const before = readState(pid, place.proc);
  if (before === null || before === 'unreadable') return unknown('its first process cannot be read');
  const cgroups = readText(`${place.proc}/${pid}/cgroup`);
  if (!cgroups.ok) return unknown(`its cgroup cannot be read: ${cgroups.why}`);
  const hierarchies = parseHierarchies(cgroups.value, id);
  if (hierarchies.length === 0) return unknown('its first process is in no cgroup of its own');
  const cpuNs = place.mounts === null ? misread('the cgroup mounts cannot be read') : readCpu(cpuFiles(hierarchies, place.mounts));
  const networkBytes = readNetwork(pid, place);
  const after = readState(pid, place.proc);
  if (after === null || after === 'unreadable' || after.startTicks !== before.startTicks) return unknown('its first process ended meanwhile');
  return { containerId: id, startedAt, cpuNs, networkBytes };
}

/** No hierarchy of this host counts CPU time: unsupported. */
function readCpu(files: readonly CpuFile[]): Reading<number> {
  const [file] = files;
  if (file === undefined) return unsupported;
  const text = readText(file.path);
  if (!text.ok) return misread(`${file.path}: ${text.why}`);
  const ns = file.parse(text.value);
  return ns === null ? misread(`${file.path} is malformed`) : read(ns);
}

/** In the host's own network namespace the counters are everybody's. */
function readNetwork(pid: number, { proc, ownNetwork }: Place): Reading<number> {
  const { folder, namespace } = networkOf(pid, proc);
  if (namespace === null || ownNetwork === null) return misread('its network namespace cannot be told');
  if (namespace === ownNetwork) return unsupported;
  const text = readText(`${folder}/net/dev`);
  if (!text.ok) return misread(`net/dev: ${text.why}`);
  const bytes = parseNetwork(text.value);
  if (bytes === 'malformed') return misread('net/dev is malformed');
  return bytes === null ? absent : read(bytes);
}

/** All threads of a first process are in one network, but one that has ended does not show it. */
function networkOf(pid: number, proc: string): { readonly folder: string; readonly namespace: string | null } {
  const first = `${proc}/${pid}`;
  const namespace = readNamespace(first);
  const folder = (namespace === null ? otherThread(pid, proc) : null) ?? first;
  return { folder, namespace: namespace ?? readNamespace(folder) };
}

function readNamespace(folder: string): string | null {
  const link = attempt(() => readlinkSync(`${folder}/ns/net`));
  return link.ok ? link.value : null;
}

function readMounts(proc: string): Mounts | null {
  const text = readText(`${proc}/self/mounts`);
  return text.ok ? parseMounts(text.value) : null;
}

