import type { Target, Verb } from '../../model/decision.ts';
import { openExisting } from './read.ts';
import type { Store } from './store.ts';

/** One thing that happened, as the ledger remembers it. Instants are milliseconds since 1970 UTC. */
export type Happening =
  | { readonly kind: 'act'; readonly at: number; readonly job: string; readonly verb: Verb; readonly target: Target; readonly result: string | null; readonly reason: string | null; readonly detail: string | null; readonly container: { readonly id: string; readonly name: string | null } | null; readonly owner: string | null }
  | { readonly kind: 'held'; readonly at: number; readonly containerId: string; readonly containerName: string; readonly gpuUuid: string; readonly migUuid: string | null; readonly owner: string | null }
  | { readonly kind: 'pass'; readonly at: number; readonly job: string; readonly exit: number | null; readonly ended: boolean };

/** `happenings` null: the ledger could not be read, `unreadable` says why. */
export interface HistoryAnswer {
  readonly happenings: readonly Happening[] | null;
  readonly unreadable: string | null;
}

/** All that happened since then, oldest first. Reads only; a ledger that does not exist remembers nothing. Throws LedgerError for one of a newer gpuctl. */
export function queryHistory(file: string, since: number): HistoryAnswer {
  const { ledger, unreadable } = openExisting(file, (store) => {
    try {
      return store.read(() => [actsIn, allocationsIn, passesIn].flatMap((happenings) => happenings(store, since))).toSorted((a, b) => a.at - b.at);
    } finally {
      store.close();
    }
  });
  return { happenings: unreadable === null ? (ledger ?? []) : null, unreadable };
}

/** What the last allocation of an act's container says of it: of a process or an allocation, whose it was. */
function ofContainer(column: 'owner' | 'container_name'): string {
  return `(SELECT ${column} FROM allocations WHERE container_id = json_extract(target, '$.containerId') ORDER BY number DESC LIMIT 1)`;
}

function actsIn(store: Store, since: number): readonly Happening[] {
  const rows = store.prepare(`
    SELECT begun_at AS at, ifnull(job, '?') AS job, verb, target, result, reason, detail,
      ${ofContainer('owner')} AS owner, ${ofContainer('container_name')} AS name
    FROM acts LEFT JOIN passes ON passes.id = pass_id WHERE begun_at >= ? ORDER BY number`).all(since);
  return rows.map((row) => {
    const target = JSON.parse(String(row['target'])) as Target;
    const owner = target.kind === 'container' ? target.owner : text(row['owner']);
    return { kind: 'act', at: Number(row['at']), job: String(row['job']), verb: row['verb'] as Verb, target, result: text(row['result']), reason: text(row['reason']), detail: text(row['detail']), container: containerOf(target, text(row['name'])), owner };
  });
}

/** A process is known by the id of its container alone: `name` is what the ledger remembers. */
function containerOf(target: Target, name: string | null): { readonly id: string; readonly name: string | null } | null {
  if (!('containerId' in target) || target.containerId === null) return null;
  return { id: target.containerId, name: 'containerName' in target ? target.containerName : name };
}

/** When a container was first seen to hold a device; that it was released again is an act. */
function allocationsIn(store: Store, since: number): readonly Happening[] {
  const rows = store.prepare(`
    SELECT container_id, container_name, gpu_uuid, mig_uuid, owner, observed_at FROM allocations WHERE observed_at >= ? ORDER BY number`).all(since);
  return rows.map((row) => ({
    kind: 'held', at: Number(row['observed_at']), containerId: String(row['container_id']), containerName: String(row['container_name']),
    gpuUuid: String(row['gpu_uuid']), migUuid: text(row['mig_uuid']), owner: text(row['owner']),
  }));
}

/** Passes that did not simply end well: the others are the background. */
function passesIn(store: Store, since: number): readonly Happening[] {
  const rows = store.prepare('SELECT job, started_at, ended_at, exit FROM passes WHERE started_at >= ? AND (exit IS NULL OR exit NOT IN (0, 1)) ORDER BY rowid').all(since);
  return rows.map((row) => ({ kind: 'pass', at: Number(row['started_at']), job: String(row['job']), exit: row['exit'] === null ? null : Number(row['exit']), ended: row['ended_at'] !== null }));
}

function text(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
