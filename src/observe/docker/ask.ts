import type { EngineClient, EngineReply } from '../../callout/engine.ts';
import { mapConcurrently } from './concurrently.ts';

/** Inspects at a time; more gain nothing, an engine serves them from memory. */
const CONCURRENCY = 8;
/** One container whose lock hangs must not cost the others their answer; this many mean that the engine hangs. */
const MAX_TIMEOUTS = CONCURRENCY;

/** Inspects each id once, in the order of `ids`. An engine that hangs is given up after MAX_TIMEOUTS deadlines, not after one a container. */
export function inspectEach(engine: EngineClient, ids: readonly string[]): Promise<readonly EngineReply[]> {
  let timeouts = 0;
  return mapConcurrently(ids, CONCURRENCY, async (id): Promise<EngineReply> => {
    if (timeouts >= MAX_TIMEOUTS) return { ok: false, code: 'timeout', status: null, why: `not asked: the engine left ${timeouts} questions unanswered` };
    const reply = await engine.inspect(id);
    if (!reply.ok && reply.code === 'timeout') timeouts += 1;
    return reply;
  });
}

/**
 * Does the engine itself say that it has no such container? A 404 alone does not: a proxy, or a path that the engine
 * does not know, gives one as well, and this answer may end a process.
 */
export function saysNotFound(reply: EngineReply): boolean {
  return !reply.ok && reply.status === 404 && /no such container/i.test(reply.why);
}
