import type { Pass } from './pass.ts';
import { runtimeRound } from './runtime-round.ts';

/** :35 — containers that have run for as long as they may are warned, warned for the last time, and stopped. */
export async function enforceRuntime(pass: Pass): Promise<void> {
  await runtimeRound(pass);
}
