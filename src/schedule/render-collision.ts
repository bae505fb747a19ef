import type { Collision } from './collisions.ts';
import { renderLocal } from './zone.ts';

/** Collisions that only cost a run of the sampler or delay a pass; everything else is refused. */
export function isTolerable({ kind }: Collision): boolean {
  return kind === 'sampler';
}

/** One sentence: the two jobs, the minute and the first date, in the zone of the host. */
export function renderCollision({ kind, first, second, localMs, apartMs }: Collision): string {
  const at = renderLocal(localMs);
  const minutes = Math.round(apartMs / 60_000);
  switch (kind) {
    case 'same-minute': return `${first} and ${second} start in the same minute: first at ${at}`;
    case 'overlap': return `${second} starts ${minutes} min after ${first}, which is then likely still running: first at ${at}`;
    case 'order': return `${second} starts before ${first} in the same hour, and belongs after it: first at ${at}`;
    case 'sampler': return `${second} starts in the same minute as ${first}, and whichever gets the lock keeps the other out: first at ${at}`;
  }
}
