import { orphanRound } from './orphan-round.ts';
import type { Pass } from './pass.ts';
import { resetRound } from './reset-round.ts';

/** Every device looked at: orphans, dirt, who holds it. With `acts`, orphans are ended and devices reset where allowed. */
export async function healthCheck(pass: Pass): Promise<void> {
  const ended = await orphanRound(pass);
  await resetRound(pass, ended);
}
