import { seen } from '../model/observation.ts';
import { printable } from '../model/text.ts';
import { isoTime } from '../model/time.ts';
import type { Pass } from './pass.ts';

/** What is remembered of one device beyond this look; plain JSON, a contract. */
export interface DeviceMemory {
  /** Null: the inventory does not have it. `missing_since` null: it was there at the last pass. */
  readonly inventory: { readonly bus_id: string; readonly name: string; readonly first_seen_at: string; readonly missing_since: string | null } | null;
  /** Null: no reset is wanted. */
  readonly reset_wanted: { readonly reason: string; readonly since: string } | null;
  /** Of the last seven days, and the last one however old it is; oldest first. */
  readonly resets: readonly { readonly at: string; readonly succeeded: boolean }[];
  readonly quarantined: boolean;
  /** What resets took away and nobody has put back. */
  readonly owed: readonly { readonly what: string; readonly since: string; readonly why: string | null }[];
  /** Null: the ledger does not tell. */
  readonly conditions: readonly { readonly id: string; readonly severity: string; readonly message: string; readonly first_seen_at: string; readonly last_seen_at: string; readonly this_run: string }[] | null;
  /** Why nvidia-smi is not asked at all, or was not to be ended; null: it answers, or failed in another way. */
  readonly driver_hung: string | null;
}

/** For a device by its UUID, whether it is there or lost. Null: the pass has not looked at the host. */
export function deviceMemory({ latest, conditions }: Pick<Pass, 'latest' | 'conditions'>, uuid: string): DeviceMemory | null {
  if (latest === null) return null;
  const { history: { inventory = [], resetWants, resets, quarantined, resetDebts = [] }, snapshot: { driver } } = latest;
  const entry = inventory.find(({ gpuUuid }) => gpuUuid === uuid);
  const want = resetWants.find(({ gpuUuid }) => gpuUuid === uuid);
  return {
    inventory: entry === undefined ? null : { bus_id: entry.pciBusId, name: printable(entry.name, 60), first_seen_at: isoTime(entry.firstSeenAt), missing_since: entry.missingSince === null ? null : isoTime(entry.missingSince) },
    reset_wanted: want === undefined ? null : { reason: want.reason, since: isoTime(want.since) },
    resets: resets.filter(({ gpuUuid }) => gpuUuid === uuid).map(({ at, succeeded }) => ({ at: isoTime(at), succeeded })),
    quarantined: quarantined.includes(uuid),
    owed: resetDebts.filter(({ gpuUuid }) => gpuUuid === uuid).map(({ debt, since, why }) => ({ what: debt.kind, since: isoTime(since), why })),
    conditions: conditions?.filter(({ condition: { subject } }) => subject.gpu === uuid).map(({ condition: { id, severity, message, firstSeenAt, lastSeenAt }, thisRun }) => ({ id, severity, message, first_seen_at: isoTime(firstSeenAt), last_seen_at: isoTime(lastSeenAt), this_run: thisRun })) ?? null,
    driver_hung: seen(driver) === null && driver.state === 'failed' && driver.code === 'hung' ? driver.why : null,
  };
}
