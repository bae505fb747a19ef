import { readdirSync } from 'node:fs';
import { complete, observed, seen, type FailureCode, type Gap, type Observed } from '../../model/observation.ts';
import type { HostProcess, ProcessView, Shim } from '../../model/process.ts';
import { observeHolders } from './holders.ts';
import { readPidNamespace, readProcess } from './process.ts';
import { attempt } from './read.ts';
import { readBootId, readOwnPids } from './self.ts';
import { observeShims } from './shims.ts';

/** What was read before the container list; shims are missing, since they are looked for after it. */
export interface ListedProcesses {
  readonly view: Omit<ProcessView, 'shims'>;
  readonly missing: readonly Gap[];
}

/**
 * The first half: the processes that devices list, and, unless `holdersToo` is false, whoever has a device node open: the
 * open files of every process of the host, by far the longest part. Failed where not even gpuctl's own place on the host is
 * certain.
 */
export async function observeListedProcesses(listedPids: readonly number[], root = '/proc', holdersToo = true): Promise<Observed<ListedProcesses>> {
  const self = observeSelf(root);
  if (self.state === 'failed') return self;
  const listed = [...new Set(listedPids)].map((pid) => readProcess(pid, root));
  const holders = holdersToo ? await observeHolders(self.value.allPids, root) : null;
  const { bootId, ownPids } = self.value;
  return complete({ view: { bootId, ownPids, listed, holders: holders === null ? null : (seen(holders) ?? []) }, missing: [...listed.flatMap(gapOf), ...(holders === null ? [] : gapsOf(holders))] });
}

/**
 * The second half, after the container list: every shim. One that is found for a container that the list does not have
 * was then not just about to end. Partial where a listed process, a shim or somebody's open files could not be read.
 */
export async function withShims(first: Observed<ListedProcesses>, root = '/proc'): Promise<Observed<ProcessView>> {
  if (first.state === 'failed') return first;
  const pids = attempt(() => readdirSync(root));
  if (!pids.ok) return failure('error', `${root}: ${pids.why}`);
  const shims = await observeShims(processIdsIn(pids.value), root);
  return observed({ ...first.value.view, shims: seen(shims) ?? [] }, [...first.value.missing, ...gapsOf(shims)]);
}

/** A few processes and every shim, at one moment. */
export interface ProcLook {
  /** Null: unknown, and then no process here has an identity. */
  readonly bootId: string | null;
  readonly ownPids: readonly number[];
  readonly processes: readonly HostProcess[];
  readonly shims: Observed<readonly Shim[]>;
}

/** The cheap look: no open files. Where gpuctl's own place on the host is not certain, every process is unreadable. */
export async function lookAtProcesses(pids: readonly number[], root = '/proc'): Promise<ProcLook> {
  const self = observeSelf(root);
  if (self.state === 'failed') {
    const { why } = self;
    return { bootId: null, ownPids: [], processes: pids.map((pid) => ({ state: 'unreadable', pid, why })), shims: self };
  }
  const { bootId, ownPids, allPids } = self.value;
  return { bootId, ownPids, processes: pids.map((pid) => readProcess(pid, root)), shims: await observeShims(allPids, root) };
}

interface Self {
  readonly bootId: string;
  readonly ownPids: readonly number[];
  /** Every process of the host, as far as /proc shows them. */
  readonly allPids: readonly number[];
}

function observeSelf(root: string): { readonly state: 'complete'; readonly value: Self } | Failure {
  const names = attempt(() => readdirSync(root));
  const bootId = readBootId(root);
  const ownPids = readOwnPids(root);
  if (!names.ok) return failure('error', `${root}: ${names.why}`);
  // In a pid namespace of its own gpuctl would take every process that the driver lists for a ghost.
  if (readPidNamespace('self', root) !== 'host') return failure('untrusted', 'gpuctl does not run in the pid namespace of the host');
  if (bootId === null) return failure('error', 'the boot id is unreadable');
  if (ownPids === null) return failure('error', "gpuctl's own ancestors are unreadable");
  return { state: 'complete', value: { bootId, ownPids, allPids: processIdsIn(names.value) } };
}

function processIdsIn(names: readonly string[]): readonly number[] {
  return names.filter((name) => /^\d+$/.test(name)).map(Number);
}

type Failure = Extract<Observed<never>, { state: 'failed' }>;

function failure(code: FailureCode, why: string): Failure {
  return { state: 'failed', code, why };
}

function gapOf(found: HostProcess): readonly Gap[] {
  return found.state === 'unreadable' ? [{ subject: `pid ${found.pid}`, why: found.why }] : [];
}

function gapsOf(source: Observed<unknown>): readonly Gap[] {
  return source.state === 'partial' ? source.missing : [];
}
