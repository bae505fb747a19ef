import { unexplainedMiB } from '../decide/dirt.ts';
import { ExitCode, GpuctlError } from '../model/errors.ts';
import { settle } from './carry-out.ts';
import { isSelected, nextRound, type Pass, observe } from './pass.ts';
import { decideOn, type ResetContext } from './reset-decision.ts';
import { resetOne } from './reset-transaction.ts';

/**
 * One device that an admin named is reset, whether it needs it or not: the same decision with the same blockers as in a
 * pass, without `reset.policy`, which is about resets unasked. Throws GpuctlError (exit 2) for a reference to several.
 */
export async function resetByHand(pass: Pass): Promise<void> {
  const latest = await observe(pass);
  if (pass.selected !== null && pass.selected.size > 1) {
    throw new GpuctlError('exactly one GPU is reset at a time', { code: 'usage', exitCode: ExitCode.usage, hint: 'name it by its index, UUID or bus id' });
  }
  const readings = [new Map(latest.gpus.map((gpu) => [gpu.uuid, unexplainedMiB(gpu, latest.history)]))];
  const context: ResetContext = { ended: { gpuUuids: new Set(), ghosts: new Set() }, readings, byHand: true, pausing: true, round: nextRound(pass) };
  const decisions = latest.gpus.filter((gpu) => isSelected(pass, gpu.uuid)).map((gpu) => decideOn(pass, gpu, latest, context));
  const resets = settle(pass, decisions, 0);
  for (const entry of resets) await resetOne(pass, entry, context);
  // What is reported is how the host is now.
  if (resets.length > 0) await observe(pass);
}
