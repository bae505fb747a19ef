import { idleRound } from './idle-round.ts';
import type { Pass } from './pass.ts';

/** :20 — containers that do nothing are warned, warned for the last time, and stopped: each in a pass of its own. */
export async function checkIdle(pass: Pass): Promise<void> {
  await idleRound(pass, { mayStop: true });
}
