import type { HealthHistory, HealthMark, HealthUpdate, MemoryLearning } from '../../model/health.ts';
import type { Store } from './store.ts';

/** The ledger's part about the health of boards: last readings, baselines, and what idle memory was learned from. */
export function healthIn(store: Store): { recordHealth(update: HealthUpdate): void } {
  const forget = ['health_marks', 'memory_learning', 'baselines'].map((table) => store.prepare(`DELETE FROM ${table} WHERE gpu_uuid = ?`));
  const mark = store.prepare(`
    INSERT INTO health_marks (gpu_uuid, reading, baseline, baseline_at, last, last_at, anchor, anchor_at, next, next_at)
    VALUES (:gpuUuid, :reading, :baseline, :baselineAt, :last, :lastAt, :anchor, :anchorAt, :next, :nextAt)`);
  const learn = store.prepare(`
    INSERT INTO memory_learning (gpu_uuid, driver, lowest_mib, last_mib, samples, first_at, last_at, over_since, over_samples)
    VALUES (:gpuUuid, :driver, :lowestMiB, :lastMiB, :samples, :firstAt, :lastAt, :overSince, :overSamples)`);
  const baseline = store.prepare('INSERT INTO baselines (gpu_uuid, used_mib) VALUES (?, ?)');
  return {
    recordHealth: ({ gpuUuids, marks, memory, baselines }: HealthUpdate) => store.write(() => {
      for (const uuid of gpuUuids) for (const table of forget) table.run(uuid);
      for (const each of marks) mark.run({ ...each });
      for (const each of memory) learn.run({ ...each });
      for (const { gpuUuid, usedMiB } of baselines) baseline.run(gpuUuid, usedMiB);
    }),
  };
}

/** Reads all of it, in the order of UUIDs. */
export function readingHealth(store: Store): () => HealthHistory {
  const marks = store.prepare(`
    SELECT gpu_uuid AS gpuUuid, reading, baseline, baseline_at AS baselineAt, last, last_at AS lastAt, anchor, anchor_at AS anchorAt, next, next_at AS nextAt
    FROM health_marks ORDER BY gpu_uuid, reading`);
  const memory = store.prepare(`
    SELECT gpu_uuid AS gpuUuid, driver, lowest_mib AS lowestMiB, last_mib AS lastMiB, samples, first_at AS firstAt, last_at AS lastAt, over_since AS overSince, over_samples AS overSamples
    FROM memory_learning ORDER BY gpu_uuid`);
  return () => ({
    marks: marks.all().map((row) => ({ ...row }) as unknown as HealthMark),
    memory: memory.all().map((row) => ({ ...row }) as unknown as MemoryLearning),
  });
}
