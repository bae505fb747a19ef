import type { Assessment } from '../decide/assess.ts';
import { decideDirt, unexplainedMiB } from '../decide/dirt.ts';
import { decideReset } from '../decide/reset.ts';
import type { Decision, GpuTarget } from '../model/decision.ts';
import type { Gpu } from '../model/device.ts';
import { seen } from '../model/observation.ts';
import { REASONS } from '../model/reason.ts';
import { blockersIn } from '../decide/reset.ts';
import { begin, finish, interruption, type Numbered, settle, willAct } from './carry-out.ts';
import type { Ended } from './orphan-round.ts';
import { isSelected, nextRound, observe, type Pass, view } from './pass.ts';
import type { ActResult } from './ports.ts';

/** Between two readings of a device after an orphan on it was ended: the driver frees memory with some delay. */
const SETTLE_MS = 5000;
/** A reset is decided on nothing older than this. */
const FRESH_MS = 2000;

/** What the decision needs beside the latest look. */
interface Context {
  readonly ended: Ended;
  /** Unexplained memory by device, of each look since orphans were ended. */
  readonly readings: readonly ReadonlyMap<string, number | null>[];
  readonly round: number;
}

/** Round: devices that are dirty, or ask for it, are reset where nothing refers to them; otherwise the want is kept. */
export async function resetRound(pass: Pass, ended: Ended): Promise<void> {
  const looks = [await view(pass)];
  if (willAct(pass) && looks.some((look) => needsSecondReading(pass, look, ended))) {
    await pass.parts.clock.sleep(SETTLE_MS);
    looks.push(await observe(pass));
  }
  const latest = looks[looks.length - 1];
  if (latest === undefined) return;
  const context: Context = { ended, readings: looks.map(readingsOf), round: nextRound(pass) };
  const decisions = latest.gpus.filter((gpu) => isSelected(pass, gpu.uuid)).map((gpu) => conditional(pass, decide(pass, gpu, latest, context)));
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

function decide({ parts }: Pass, gpu: Gpu, { snapshot, history, claims, ownership }: Assessment, { ended, readings, round }: Context): Decision<GpuTarget> {
  const { policy, clock } = parts;
  const orphanEnded = ended.gpuUuids.has(gpu.uuid);
  const dirt = decideDirt({
    gpu, history,
    ghosts: ghostsOn(gpu, ownership, ended),
    afterEnding: orphanEnded ? readings.map((each) => each.get(gpu.uuid) ?? null) : null,
    toleranceMiB: policy.toleranceMiB,
    now: clock.now(),
  });
  return decideReset({ gpu, dirt, history, ownership, orphanEnded, round, engine: snapshot.engine, processes: snapshot.processes, claims: claims.claims, rules: policy.reset, policy: policy.reset.policy, now: clock.now() });
}

function ghostsOn(gpu: Gpu, ownership: Assessment['ownership'], { ghosts }: Ended): readonly number[] {
  const rows = gpu.processes.state === 'known' ? gpu.processes.processes : [];
  return rows.map((row) => row.pid).filter((pid) => ghosts.has(pid) && ownership.get(pid)?.kind === 'ghost');
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

/** The want stays in the ledger until the device is clean again or was reset. */
function keepWant({ parts }: Pass, decision: Decision<GpuTarget>, { history }: Assessment): void {
  const { uuid, index } = decision.target;
  const wanted = history.resetWants.some((want) => want.gpuUuid === uuid);
  if (decision.verdict === 'leave') {
    if (wanted && decision.reason === 'clean') parts.ledger.withdrawReset(uuid);
    return;
  }
  if (wanted) return;
  const reason = String(decision.evidence['want'] ?? decision.reason);
  parts.ledger.wantReset({ gpuUuid: uuid, reason, since: parts.clock.now() });
  parts.sink.emit({ action: 'gpu.reset.wanted', message: `GPU ${index ?? uuid} should be reset: ${reason in REASONS ? REASONS[reason as keyof typeof REASONS] : reason}`, reason, gpu: { uuid, index, busId: decision.target.pciBusId } });
}

async function resetOne(pass: Pass, entry: Numbered<GpuTarget>, context: Context): Promise<void> {
  const stop = interruption(pass);
  if (stop !== null || pass.parts.actor === null) { finish(pass, entry, null, stop ?? { result: 'refused', reason: 'interrupted', detail: 'this pass has no acting side' }); return; }
  const fresh = await observe(pass);
  const again = lastCheck(pass, entry.decision, fresh, context);
  if (again !== null) { finish(pass, entry, null, again); return; }
  const act = begin(pass, entry);
  const result = await pass.parts.actor.resetGpu(entry.decision.target, fresh.snapshot);
  // Before the act ends: what dies in between is in flight, and a reset in flight counts.
  recordReset(pass, entry.decision.target, result);
  finish(pass, entry, act, result);
}

/** The whole decision once more, on a look that has just been made. Null: it stands. */
function lastCheck(pass: Pass, decision: Decision<GpuTarget>, fresh: Assessment, context: Context): ActResult | null {
  const { clock } = pass.parts;
  const gpu = fresh.gpus.find((each) => each.uuid === decision.target.uuid && each.pciBusId === decision.target.pciBusId);
  if (gpu === undefined) return { result: 'refused', reason: 'process-list-unknown', detail: 'the device was not seen at the last look' };
  const again = decide(pass, gpu, fresh, context);
  if (again.verdict === 'leave') return { result: 'already-gone', reason: 'no-longer-wanted', detail: REASONS[again.reason] };
  if (again.verdict === 'refuse') return { result: 'refused', reason: again.reason, detail: blockersIn(again).filter((blocker) => blocker.hard).map((blocker) => blocker.what).join('; ') || REASONS[again.reason] };
  const ageMs = clock.now() - fresh.snapshot.takenAt;
  return ageMs >= 0 && ageMs <= FRESH_MS ? null : { result: 'refused', reason: 'snapshot-too-old', detail: `the last look was ${ageMs} ms old` };
}

function recordReset({ parts }: Pass, { uuid, index, pciBusId }: GpuTarget, result: ActResult): void {
  const { clock, ledger, policy, sink } = parts;
  const now = clock.now();
  ledger.recordReset(uuid, result.result === 'done', now);
  if (result.result === 'done') ledger.withdrawReset(uuid);
  const today = ledger.history().resets.filter((reset) => reset.gpuUuid === uuid && now - reset.at < 24 * 3600_000).length;
  if (result.quarantine !== true && today < policy.reset.maxPerDay) return;
  ledger.quarantine(uuid, now);
  sink.emit({ action: 'gpu.quarantined', message: `GPU ${index ?? uuid} is in quarantine: ${today} resets in 24 hours${result.quarantine === true ? ', and the driver calls it unstable' : ''}`, gpu: { uuid, index, busId: pciBusId } });
}
