import type { Clock } from '../../passes/ports.ts';
import type { Seam } from './tape.ts';

/**
 * A clock that stands still between looks at the host: what is decided depends on when was looked, and on nothing else that a
 * replay could not repeat. `sleep` as it is to be.
 */
export function steppedClock(seam: Seam, boot: Clock['boot'], { at, sleep }: { readonly at: number; readonly sleep: Clock['sleep'] }): { readonly seam: Seam; readonly clock: Clock } {
  let latest = at;
  const part: Seam['part'] = (name, make) => {
    const made = seam.part(name, make);
    if (name !== 'proc' || !('now' in made)) return made;
    const { now } = made as unknown as { readonly now: () => number };
    return { ...made, now: () => (latest = now()) };
  };
  const { boot: told } = seam.part('clock', () => ({ boot: () => boot?.() ?? null }));
  return { seam: { part }, clock: { now: () => latest, monotonicMs: () => 0, sleep, boot: told } };
}
