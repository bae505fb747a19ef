import { readdirSync } from 'node:fs';
import { observed, seen, type FailureCode, type Gap, type Observed } from '../../model/observation.ts';
import type { HostProcess, ProcessView, Shim } from '../../model/process.ts';
import { observeHolders } from './holders.ts';
import { readPidNamespace, readProcess } from './process.ts';
import { attempt } from './read.ts';
import { readBootId, readOwnPids } from './self.ts';
import { observeShims } from './shims.ts';

/**
 * What /proc says of the processes that devices list, of whoever has a device node open, and of container shims. Failed
 * where not even gpuctl's own place on the host is certain; partial where a listed process, a shim or somebody's open
 * files could not be read.
 */
export function observeProcesses(listedPids: readonly number[], root = '/proc'): Observed<ProcessView> {
  const self = observeSelf(root);
  if (self.state === 'failed') return self;
  const listed = [...new Set(listedPids)].map((pid) => readProcess(pid, root));
  const holders = observeHolders(self.value.allPids, root);
  const shims = observeShims(self.value.allPids, root);
  const missing = [...listed.flatMap(gapOf), ...gapsOf(holders), ...gapsOf(shims)];
  const { bootId, ownPids } = self.value;
  return observed({ bootId, ownPids, listed, holders: seen(holders) ?? [], shims: seen(shims) ?? [] }, missing);
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
export function lookAtProcesses(pids: readonly number[], root = '/proc'): ProcLook {
  const self = observeSelf(root);
  if (self.state === 'failed') {
    const { why } = self;
    return { bootId: null, ownPids: [], processes: pids.map((pid) => ({ state: 'unreadable', pid, why })), shims: self };
  }
  const { bootId, ownPids, allPids } = self.value;
  return { bootId, ownPids, processes: pids.map((pid) => readProcess(pid, root)), shims: observeShims(allPids, root) };
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
  return { state: 'complete', value: { bootId, ownPids, allPids: names.value.filter((name) => /^\d+$/.test(name)).map(Number) } };
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
