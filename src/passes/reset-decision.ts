import type { Assessment } from '../decide/assess.ts';
import { decideDirt } from '../decide/dirt.ts';
import { blockersIn, decideReset } from '../decide/reset.ts';
import { currentXids } from '../decide/xid.ts';
import type { Decision, GpuTarget } from '../model/decision.ts';
import type { Gpu } from '../model/device.ts';
import { REASONS } from '../model/reason.ts';
import type { Ended } from './orphan-round.ts';
import type { Pass } from './pass.ts';
import type { ActResult } from './ports.ts';

/** A reset is decided on nothing older than this. */
const FRESH_MS = 2000;

/** What the decision needs beside the latest look. */
export interface ResetContext {
  readonly ended: Ended;
  /** Unexplained memory by device, of each look since orphans were ended. */
  readonly readings: readonly ReadonlyMap<string, number | null>[];
  /** An admin asks for it. */
  readonly byHand: boolean;
  /** The units that a reset may stop yield; false: they were stopped, so one that still holds the device blocks. */
  readonly pausing: boolean;
  readonly round: number;
}

/** The decision about one device on this look. */
export function decideOn({ parts }: Pass, gpu: Gpu, { snapshot, history, claims, ownership }: Assessment, context: ResetContext): Decision<GpuTarget> {
  const { policy, clock } = parts;
  const { ended, readings, byHand, pausing, round } = context;
  const orphanEnded = ended.gpuUuids.has(gpu.uuid);
  const dirt = decideDirt({
    gpu, history,
    ghosts: ghostsOn(gpu, ownership, ended),
    afterEnding: orphanEnded ? readings.map((each) => each.get(gpu.uuid) ?? null) : null,
    toleranceMiB: policy.toleranceMiB,
    now: clock.now(),
    xids: currentXids(snapshot, history),
  });
  const rules = pausing ? policy.reset : { ...policy.reset, pauseServices: [] };
  return decideReset({ gpu, dirt, history, ownership, orphanEnded, byHand, round, engine: snapshot.engine, processes: snapshot.processes, claims: claims.claims, rules, policy: policy.reset.policy, now: clock.now() });
}

function ghostsOn(gpu: Gpu, ownership: Assessment['ownership'], { ghosts }: Ended): readonly number[] {
  const rows = gpu.processes.state === 'known' ? gpu.processes.processes : [];
  return rows.map((row) => row.pid).filter((pid) => ghosts.has(pid) && ownership.get(pid)?.kind === 'ghost');
}

/** The whole decision once more, on a look that has just been made: it stands, or why not. */
export function decideAgain(pass: Pass, target: GpuTarget, fresh: Assessment, context: ResetContext): { readonly stands: Decision<GpuTarget> } | { readonly stands: null; readonly result: ActResult } {
  const gpu = fresh.gpus.find((each) => each.uuid === target.uuid && each.pciBusId === target.pciBusId);
  if (gpu === undefined) return fallen({ result: 'refused', reason: 'process-list-unknown', detail: 'the device was not seen at the last look' });
  const again = decideOn(pass, gpu, fresh, context);
  if (again.verdict === 'leave') return fallen({ result: 'already-gone', reason: 'no-longer-wanted', detail: REASONS[again.reason] });
  if (again.verdict === 'refuse') return fallen({ result: 'refused', reason: again.reason, detail: blockersIn(again).filter((blocker) => blocker.hard).map((blocker) => blocker.what).join('; ') || REASONS[again.reason] });
  const { takenAt, holdersAt = takenAt } = fresh.snapshot;
  const ageMs = pass.parts.clock.now() - Math.min(takenAt, holdersAt);
  if (ageMs >= 0 && ageMs <= FRESH_MS) return { stands: again };
  return fallen({ result: 'refused', reason: 'snapshot-too-old', detail: `the last look was ${ageMs} ms old` });
}

function fallen(result: ActResult): { readonly stands: null; readonly result: ActResult } {
  return { stands: null, result };
}
