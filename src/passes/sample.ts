import { idleRound } from './idle-round.ts';
import type { Pass } from './pass.ts';

/** Every five minutes: one look, remembered; idle containers are warned, but never stopped. */
export async function sample(pass: Pass): Promise<void> {
  await idleRound(pass, { mayStop: false });
}
