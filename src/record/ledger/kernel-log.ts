import type { StatementSync } from 'node:sqlite';
import type { KernelLogCursor, KernelLogMemory, SeenXid } from '../../model/kernel-log.ts';
import type { KernelLogLedger } from '../../passes/ports.ts';
import type { Store } from './store.ts';

const KEEP_MS = 30 * 24 * 3_600_000;
/** Of each code and device of a boot, the newest: users can cause some codes at will, and must push nothing else out. */
const KEEP_EACH = 50;
/** Of all together. */
const KEEP_ALL = 2000;

/** The ledger's part about the kernel log: how far it was read, and the errors of devices in it. */
export function kernelLogIn(store: Store): KernelLogLedger {
  const cursor = store.prepare(CURSOR);
  const advance = store.prepare('INSERT OR REPLACE INTO kernel_log (one, boot_id, sequence, boot_usec, journal, read_at) VALUES (1, :bootId, :sequence, :bootUsec, :journal, :readAt)');
  const insert = store.prepare(`
    INSERT INTO xids (boot_id, kind, code, bus_id, gpu_uuid, gpu_instance, pid, process_name, detail, at, boot_usec, sequence, lines, seen_at)
    VALUES (:boot, :kind, :code, :pciBusId, :gpuUuid, :gpuInstanceId, :pid, :processName, :detail, :at, :bootUsec, :sequence, :lines, :seen) ON CONFLICT DO NOTHING`);
  const prunes = [
    [store.prepare('DELETE FROM xids WHERE seen_at < ?'), (at: number) => at - KEEP_MS],
    [store.prepare('DELETE FROM xids WHERE number IN (SELECT number FROM (SELECT number, row_number() OVER (PARTITION BY boot_id, kind, code, bus_id, gpu_uuid ORDER BY number DESC) AS nth FROM xids) WHERE nth > ?)'), () => KEEP_EACH],
    [store.prepare('DELETE FROM xids WHERE number <= (SELECT max(number) FROM xids) - ?'), () => KEEP_ALL],
  ] as const;
  const settle = store.prepare(`
    UPDATE xids SET settled_at = :reset WHERE settled_at IS NULL AND (at <= :reset OR seen_at <= :reset)
      AND ifnull(bus_id = :bus, gpu_uuid = :uuid)`);
  return {
    cursor: () => store.read(() => cursorIn(cursor)),
    recordKernelLog: ({ bootId, cursor: reached, events }, seenAt) => store.write(() => {
      for (const event of events) insert.run({ ...event, boot: bootId, seen: seenAt });
      if (events.length > 0) for (const [prune, bound] of prunes) prune.run(bound(seenAt));
      if (reached !== null) advance.run({ ...reached });
    }),
    settleXids: ({ uuid, pciBusId }, resetAt) => store.write(() => { settle.run({ uuid, bus: pciBusId, reset: resetAt }); }),
  };
}

/** For the history, in whose transaction it runs. */
export function kernelLogMemoryIn(store: Store): () => KernelLogMemory {
  const cursor = store.prepare(CURSOR);
  const xids = store.prepare(`
    SELECT boot_id AS bootId, kind, code, bus_id AS pciBusId, gpu_uuid AS gpuUuid, gpu_instance AS gpuInstanceId, pid, process_name AS processName,
      detail, at, boot_usec AS bootUsec, sequence, lines, seen_at AS seenAt
    FROM xids WHERE boot_id = ? AND settled_at IS NULL ORDER BY number`);
  return () => {
    const reached = cursorIn(cursor);
    return { cursor: reached, xids: reached === null ? [] : xids.all(reached.bootId).map((row) => ({ ...row }) as unknown as SeenXid) };
  };
}

const CURSOR = 'SELECT boot_id AS bootId, sequence, boot_usec AS bootUsec, journal, read_at AS readAt FROM kernel_log';

function cursorIn(statement: StatementSync): KernelLogCursor | null {
  const row = statement.get();
  return row === undefined ? null : ({ ...row } as unknown as KernelLogCursor);
}
