import type { EngineReply } from '../callout/engine.ts';

/** Of a call that came to no whole answer: nobody was there to hear it. */
const UNHEARD: ReadonlySet<string> = new Set(['not-installed', 'refused', 'not-permitted']);

/**
 * May what is seen after a command be its doing? So where the answer is late, cut off or the engine's own failure, which all
 * may come after the act. Not where the engine says that there was nothing to do or that it may not, or was not reached.
 */
export function mayHaveActed(reply: EngineReply<null>): boolean {
  if (reply.ok) return true;
  return reply.status === null ? !UNHEARD.has(reply.code) : reply.status >= 500;
}

/** What the engine answered, where that was not that it has done it; for the end of a detail. */
export function answerOf(reply: EngineReply<null>): string {
  return reply.ok ? '' : `; the engine's answer: ${reply.why}`;
}
