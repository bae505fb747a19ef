import type { GpuctlEvent } from '../../model/event.ts';
import { counted, printable } from '../../model/text.ts';
import type { Notifier, OwnerNotice } from '../../passes/ports.ts';
import { type AdminParts, alertKeeper, tellAdmins } from './admin.ts';
import { type ArchiveEngine, putNotice } from './container-file.ts';
import { writeToTerminals } from './terminals.ts';

/** Of all sinks of a pass together. */
const ALL_SINKS_MS = 10_000;
/** Of one of them; what is left is for ending a program that did not end. */
const SINK_MS = 8000;

export interface NotifierParts extends Omit<AdminParts, 'timeoutMs' | 'ledger'> {
  /** Null: admins are not told. */
  readonly ledger: AdminParts['ledger'] | null;
  readonly owner: readonly ('tty' | 'container-file')[];
  /** Null: there is no such user on this host. */
  readonly uidOf: (name: string) => number | null;
  /** With a short deadline of its own: a notice must not hold up a pass. */
  readonly engine: ArchiveEngine;
  /** Of all sinks together, milliseconds; 10 s where it is not given. */
  readonly deadlineMs?: number;
}

/** The notifier of one pass. No method throws, and none waits for somebody who does not answer. */
export function createNotifier(parts: NotifierParts): Notifier {
  const files = { givenUp: false };
  const keep = parts.ledger === null ? null : alertKeeper({ ...parts, ledger: parts.ledger });
  return {
    notifyOwner: async (notice) => {
      const results = await Promise.all(parts.owner.map(async (way) => {
        const why = way === 'tty' ? writeTerminals(notice, parts) : await putFile(notice, parts, files);
        return why === null ? [] : [undelivered(notice, way, why)];
      }));
      return results.flat();
    },
    rememberAlert: (event) => { remember(event, keep); },
    notifyAdmin: async (events) => (parts.ledger === null || parts.sinks.length === 0 ? [] : withinDeadline(events, { ...parts, ledger: parts.ledger })),
  };
}

/** What fails here fails again when the alerts of the pass are told, and is an event then. */
function remember(event: GpuctlEvent, keep: ReturnType<typeof alertKeeper> | null): void {
  try {
    keep?.(event);
  } catch {
    // No act may be cut short for a notice.
  }
}

async function withinDeadline(events: readonly GpuctlEvent[], parts: NotifierParts & Pick<AdminParts, 'ledger'>): Promise<readonly GpuctlEvent[]> {
  const allMs = parts.deadlineMs ?? ALL_SINKS_MS;
  const { promise: late, resolve } = Promise.withResolvers<readonly GpuctlEvent[]>();
  const timer = setTimeout(() => { resolve([failed(`admins: not all were told within ${allMs} ms`)]); }, allMs);
  try {
    return await Promise.race([tellAdmins(events, { ...parts, timeoutMs: Math.min(SINK_MS, allMs * 0.8) }), late]);
  } catch (error) {
    return [failed(`admins were not told: ${error instanceof Error ? error.message : String(error)}`)];
  } finally {
    clearTimeout(timer);
  }
}

/** Null: written, or there is nobody to write to. */
function writeTerminals({ target, message }: OwnerNotice, { uidOf }: NotifierParts): string | null {
  const uid = target.owner === null ? null : uidOf(target.owner);
  // Root's terminals are an admin's, whatever a label says.
  if (uid === null || uid === 0) return null;
  const { written, failed: missed } = writeToTerminals(uid, `gpuctl: ${printable(message, 400)}`);
  return written === 0 && missed > 0 ? `${counted(missed, 'terminal')} of ${target.owner} did not take it` : null;
}

/** Once the engine did not answer in time, it is not asked again in this pass. */
async function putFile({ target, message }: OwnerNotice, { engine, now }: NotifierParts, state: { givenUp: boolean }): Promise<string | null> {
  if (state.givenUp) return 'the engine did not answer the notice before';
  try {
    const missed = await putNotice(engine, target, { message: printable(message, 400), now: now() });
    state.givenUp = missed?.code === 'timeout';
    return missed?.why ?? null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function undelivered({ target, kind, stage }: OwnerNotice, way: string, why: string): GpuctlEvent {
  return {
    ...failed(`the notice about container ${target.containerName} could not be delivered by ${way}: ${why}`),
    reason: way,
    container: { id: target.containerId, name: target.containerName },
    ...(target.owner === null ? {} : { user: target.owner }),
    facts: { kind, stage },
  };
}

function failed(message: string): GpuctlEvent {
  return { action: 'notify.failed', message, outcome: 'failure' };
}
