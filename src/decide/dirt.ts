import type { Gpu } from '../model/device.ts';
import type { History, MemorySample } from '../model/history.ts';
import { known } from '../model/reading.ts';
import type { ReasonCode } from '../model/reason.ts';
import type { SeenXid } from '../model/kernel-log.ts';
import { xidWantsReset } from './xid.ts';

/** Memory alone makes a device dirty only if it lasts: at least so many samples over at least so long. */
const LASTING_SAMPLES = 3;
const LASTING_MS = 10 * 60_000;

export interface DirtFacts {
  readonly gpu: Gpu;
  /** Pids on this device that two looks found to be ghosts. */
  readonly ghosts: readonly number[];
  /**
   * Unexplained memory, MiB, of two readings at least 5 s apart, made after an orphan on this device was ended in this
   * pass; null: none was.
   */
  readonly afterEnding: readonly (number | null)[] | null;
  readonly history: History;
  /** MiB that may be unexplained on a healthy device. */
  readonly toleranceMiB: number;
  readonly now: number;
  /** What the kernel log says, as `currentXids` gives it; absent: not known. */
  readonly xids?: readonly SeenXid[];
}

/** *Unknown*: it cannot be said. Never a reason for a reset. */
export type Dirt =
  | { readonly kind: 'dirty'; readonly reason: ReasonCode; readonly evidence: Readonly<Record<string, unknown>> }
  | { readonly kind: 'suspect'; readonly reason: 'not-yet-confirmed'; readonly unexplainedMiB: number }
  | { readonly kind: 'clean' }
  | { readonly kind: 'unknown'; readonly why: string };

/** Does the device need a reset: it asks for one, it lists a ghost, or memory is in use that nobody's process explains? */
export function decideDirt(facts: DirtFacts): Dirt {
  const { gpu, ghosts } = facts;
  const action = known(gpu.recovery);
  if (action === 'reset' || action === 'drain-and-reset') return { kind: 'dirty', reason: 'reset-asked', evidence: { recovery: action } };
  if (gpu.faults.includes('GPU requires reset')) return { kind: 'dirty', reason: 'reset-asked', evidence: { fault: 'GPU requires reset' } };
  if (known(gpu.repairPending) === true) return { kind: 'dirty', reason: 'repair-pending', evidence: {} };
  const xid = xidWantsReset({ gpu, xids: facts.xids ?? [], resets: facts.history.resets, now: facts.now });
  if (xid !== null) return { kind: 'dirty', reason: 'xid-asked', evidence: { xid: xid.code, at: xid.at } };
  if (ghosts.length > 0) return { kind: 'dirty', reason: 'dirty-ghost', evidence: { ghosts } };
  return memoryDirt(facts);
}

/**
 * MiB in use that neither the learned baseline nor a listed process explains. Null: not known, because a reading is
 * missing or a process does not say what it uses.
 */
export function unexplainedMiB(gpu: Gpu, history: History): number | null {
  const used = known(gpu.usedMiB);
  if (used === null || gpu.processes.state !== 'known') return null;
  const rows = gpu.processes.processes.map((row) => row.usedMiB);
  if (rows.some((usedMiB) => usedMiB === null)) return null;
  const baseline = history.baselines.find((each) => each.gpuUuid === gpu.uuid)?.usedMiB ?? 0;
  return used - baseline - rows.reduce<number>((sum, usedMiB) => sum + (usedMiB ?? 0), 0);
}

function memoryDirt(facts: DirtFacts): Dirt {
  const unexplained = unexplainedMiB(facts.gpu, facts.history);
  if (unexplained === null) return { kind: 'unknown', why: 'the memory of the device or of a process on it is not known' };
  if (unexplained <= facts.toleranceMiB) return { kind: 'clean' };
  const evidence = { unexplainedMiB: unexplained, toleranceMiB: facts.toleranceMiB };
  if (facts.afterEnding !== null && facts.afterEnding.length >= 2 && facts.afterEnding.every((reading) => reading !== null && reading > facts.toleranceMiB)) {
    return { kind: 'dirty', reason: 'dirty-memory', evidence: { ...evidence, readings: facts.afterEnding } };
  }
  if (facts.history.resetWants.some((want) => want.gpuUuid === facts.gpu.uuid && want.reason === 'dirty-memory')) return { kind: 'dirty', reason: 'dirty-memory', evidence: { ...evidence, wantedBefore: true } };
  const lasting = lastingSamples(facts);
  return lasting === null ? { kind: 'suspect', reason: 'not-yet-confirmed', unexplainedMiB: unexplained } : { kind: 'dirty', reason: 'dirty-memory', evidence: { ...evidence, ...lasting } };
}

/** The unbroken run of samples over the tolerance that ends now; null: too few or too short. A sample from the future breaks it. */
function lastingSamples({ gpu, history, toleranceMiB, now }: DirtFacts): { samples: number; forMs: number } | null {
  const mine = history.memory.filter((sample) => sample.gpuUuid === gpu.uuid);
  const run = unbrokenRun(mine, toleranceMiB, now);
  const oldest = run[0];
  if (oldest === undefined) return null;
  const samples = run.length + 1;
  const forMs = now - oldest.at;
  return samples >= LASTING_SAMPLES && forMs >= LASTING_MS ? { samples, forMs } : null;
}

function unbrokenRun(samples: readonly MemorySample[], toleranceMiB: number, now: number): readonly MemorySample[] {
  const broken = samples.findLastIndex((sample) => sample.unexplainedMiB <= toleranceMiB || sample.at > now);
  return samples.slice(broken + 1);
}
