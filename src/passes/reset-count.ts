import { resetsToday } from '../decide/blockers.ts';
import type { GpuTarget } from '../model/decision.ts';
import type { PassParts } from './pass.ts';
import type { ActResult, InFlightAct } from './ports.ts';

/** Counts a reset that was tried, and puts the board into quarantine where it was one too many or the driver calls it unstable. */
export function countReset(parts: PassParts, target: GpuTarget, result: Pick<ActResult, 'result' | 'quarantine'>, at: number): void {
  const { ledger, policy, sink, clock } = parts;
  const { uuid, index, pciBusId } = target;
  ledger.recordReset(uuid, result.result === 'done', at);
  const history = ledger.history();
  const today = resetsToday(history, uuid, clock.now());
  if (result.quarantine !== true && today < policy.reset.maxPerDay) return;
  if (history.quarantined.includes(uuid)) return;
  ledger.quarantine(uuid, clock.now());
  sink.emit({ action: 'gpu.quarantined', message: `GPU ${index ?? uuid} is in quarantine: ${today} resets in 24 hours${result.quarantine === true ? ', and the driver calls it unstable' : ''}; gpuctl quarantine clear ${uuid} ends it`, gpu: { uuid, index, busId: pciBusId } });
}

/** A reset that was in flight was tried, however it ended: it counts, once. Where the journal shows that it was never begun, it does not. */
export function countInFlight(parts: PassParts, acts: readonly InFlightAct[]): void {
  const { resets } = parts.ledger.history();
  for (const { passId, verb, target, at } of acts) {
    if (verb !== 'reset' || target.kind !== 'gpu') continue;
    const counted = resets.some((reset) => reset.gpuUuid === target.uuid && reset.at >= at);
    if (counted || parts.resets?.ledger.wasTried(passId, target.uuid) === false) continue;
    countReset(parts, target, { result: 'failed' }, at);
  }
}
