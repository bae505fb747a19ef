import type { Assessment } from '../decide/assess.ts';
import { unexplainedMiB } from '../decide/dirt.ts';
import type { Decision, GpuTarget } from '../model/decision.ts';
import type { Gpu } from '../model/device.ts';
import { seen } from '../model/observation.ts';
import { REASONS } from '../model/reason.ts';
import { settle, willAct } from './carry-out.ts';
import type { Ended } from './orphan-round.ts';
import { isSelected, nextRound, observe, type Pass, view } from './pass.ts';
import { decideOn, type ResetContext } from './reset-decision.ts';
import { resetOne } from './reset-transaction.ts';

/** Between two readings of a device after an orphan on it was ended: the driver frees memory with some delay. */
const SETTLE_MS = 5000;
/** Round: devices that are dirty, or ask for it, are reset where nothing refers to them; otherwise the want is kept. */
export async function resetRound(pass: Pass, ended: Ended): Promise<void> {
  const looks = [await view(pass)];
  if (willAct(pass) && looks.some((look) => needsSecondReading(pass, look, ended))) {
    await pass.parts.clock.sleep(SETTLE_MS);
    looks.push(await observe(pass));
  }
  const latest = looks[looks.length - 1];
  if (latest === undefined) return;
  const context: ResetContext = { ended, readings: looks.map(readingsOf), byHand: false, pausing: true, round: nextRound(pass) };
  const decisions = latest.gpus.filter((gpu) => isSelected(pass, gpu.uuid)).map((gpu) => conditional(pass, decideOn(pass, gpu, latest, context)));
  if (willAct(pass)) for (const decision of decisions) keepWant(pass, decision, latest);
  const resets = settle(pass, decisions, 0);
  for (const entry of resets) await resetOne(pass, entry, context);
  // What is reported is how the host is now.
  if (resets.length > 0) await observe(pass);
}

function needsSecondReading({ parts }: Pass, { gpus, history }: Assessment, { gpuUuids }: Ended): boolean {
  return gpus.some((gpu) => gpuUuids.has(gpu.uuid) && (unexplainedMiB(gpu, history) ?? 0) > parts.policy.toleranceMiB);
}

function readingsOf({ gpus, history }: Assessment): ReadonlyMap<string, number | null> {
  return new Map(gpus.map((gpu) => [gpu.uuid, unexplainedMiB(gpu, history)]));
}

/** In a dry run nothing was released or ended, so what depends on it cannot be said. */
function conditional({ options, decisions, latest }: Pass, decision: Decision<GpuTarget>): Decision<GpuTarget> {
  if (!options.dryRun || !options.acts) return decision;
  const before = decisions.filter((each) => each.verdict === 'act');
  const holders = latest === null ? [] : holdersOf(decision.target.uuid, latest);
  const ending = before.some(({ target }) => target.kind === 'process' && (target.gpuUuids.includes(decision.target.uuid) || holders.includes(target.pid)));
  const releasing = before.some((each) => each.target.kind === 'allocation' && each.target.gpuUuid === decision.target.uuid);
  const depends = ending || (releasing && decision.reason !== 'clean');
  return depends ? { ...decision, verdict: 'leave', reason: 'conditional', evidence: {} } : decision;
}

/** Pids that have the device's node open; all that have any, where its minor number is not known. */
function holdersOf(gpuUuid: string, { snapshot, gpus }: Assessment): readonly number[] {
  const minor = gpus.find((gpu) => gpu.uuid === gpuUuid)?.minorNumber ?? null;
  return (seen(snapshot.processes)?.holders ?? []).filter((holder) => minor === null || holder.minorNumber === minor).map((holder) => holder.pid);
}

/** The want stays in the ledger until the device was reset, or is clean again and said so in full. */
function keepWant({ parts }: Pass, decision: Decision<GpuTarget>, { history, gpus }: Assessment): void {
  const { uuid, index } = decision.target;
  const wanted = history.resetWants.some((want) => want.gpuUuid === uuid);
  if (decision.verdict === 'leave') {
    if (wanted && decision.reason === 'clean' && gpus.some((gpu) => gpu.uuid === uuid && saysItIsClean(gpu))) parts.ledger.withdrawReset(uuid);
    return;
  }
  if (wanted) return;
  const reason = String(decision.evidence['want'] ?? decision.reason);
  parts.ledger.wantReset({ gpuUuid: uuid, reason, since: parts.clock.now() });
  parts.sink.emit({ action: 'gpu.reset.wanted', message: `GPU ${index ?? uuid} should be reset: ${reason in REASONS ? REASONS[reason as keyof typeof REASONS] : reason}`, reason, gpu: { uuid, index, busId: decision.target.pciBusId } });
}

/** Nothing that could ask for a reset failed to be read: a want is not withdrawn because nobody could see why it was one. */
function saysItIsClean({ recovery, repairPending, processes, faults }: Gpu): boolean {
  return recovery.kind !== 'error' && repairPending.kind !== 'error' && processes.state === 'known' && faults.length === 0;
}
