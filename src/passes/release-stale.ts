import { orphanRound } from './orphan-round.ts';
import type { Pass } from './pass.ts';
import { releaseRound } from './release-round.ts';
import { resetRound } from './reset-round.ts';

/** :05 — allocations that nobody uses are released, orphans ended on every device, and what is left dirty and free is reset. */
export async function releaseStale(pass: Pass): Promise<void> {
  await releaseRound(pass);
  const ended = await orphanRound(pass);
  await resetRound(pass, ended);
}
