import type { Ledger } from '../../passes/ports.ts';
import type { Store } from './store.ts';

type DeviceWrites = Pick<Ledger, 'recordMemory' | 'wantReset' | 'withdrawReset' | 'recordReset' | 'quarantine'>;

/** The ledger's part about devices: memory samples, resets wanted and done, quarantine. */
export function devicesIn(store: Store): DeviceWrites {
  const memory = store.prepare('INSERT OR REPLACE INTO memory (gpu_uuid, at, used_mib, unexplained_mib) VALUES (?, ?, ?, ?)');
  // A want that is tried again and again is as old as its first wish.
  const want = store.prepare(`
    INSERT INTO reset_wants (gpu_uuid, reason, since) VALUES (?, ?, ?)
    ON CONFLICT (gpu_uuid) DO UPDATE SET reason = excluded.reason, since = min(since, excluded.since)`);
  const withdraw = store.prepare('DELETE FROM reset_wants WHERE gpu_uuid = ?');
  const reset = store.prepare('INSERT INTO resets (gpu_uuid, at, succeeded) VALUES (?, ?, ?)');
  const quarantine = store.prepare('INSERT INTO quarantine (gpu_uuid, at) VALUES (?, ?) ON CONFLICT DO NOTHING');
  return {
    recordMemory: (samples) => store.write(() => {
      for (const sample of samples) memory.run(sample.gpuUuid, sample.at, sample.usedMiB, sample.unexplainedMiB);
    }),
    wantReset: ({ gpuUuid, reason, since }) => store.write(() => { want.run(gpuUuid, reason, since); }),
    withdrawReset: (gpuUuid) => store.write(() => { withdraw.run(gpuUuid); }),
    recordReset: (gpuUuid, succeeded, at) => store.write(() => { reset.run(gpuUuid, at, succeeded ? 1 : 0); }),
    quarantine: (gpuUuid, at) => store.write(() => { quarantine.run(gpuUuid, at); }),
  };
}
