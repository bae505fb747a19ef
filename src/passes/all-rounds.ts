import { idleRound } from './idle-round.ts';
import { leftoverRound } from './leftover-round.ts';
import { orphanRound } from './orphan-round.ts';
import type { Pass } from './pass.ts';
import { releaseRound } from './release-round.ts';
import { resetRound } from './reset-round.ts';
import { runtimeRound } from './runtime-round.ts';

/** Every rule is asked once, in the order of the rounds. For a report or a dry run: nothing is done. */
export async function decideAll(pass: Pass): Promise<void> {
  await releaseRound(pass);
  const ended = await orphanRound(pass);
  await resetRound(pass, ended);
  await idleRound(pass, { mayStop: true });
  await runtimeRound(pass);
  await leftoverRound(pass);
}
