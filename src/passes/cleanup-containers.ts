import { leftoverRound } from './leftover-round.ts';
import type { Pass } from './pass.ts';

/** :50 — what was created and never started, or has been stopped for longer than its holds, is removed. */
export async function cleanupContainers(pass: Pass): Promise<void> {
  await leftoverRound(pass);
}
