import type { ClockEra, ClockReading } from '../model/clock.ts';
import type { InspectedContainer } from '../model/container.ts';
import type { Finding } from '../model/finding.ts';
import type { History } from '../model/history.ts';

/** The clocks of a host that is looked after go together to a second; a minute more or less of a limit hurts nobody. */
const TOLERANCE_MS = 60_000;
/** A jump is told for so long. */
const TOLD_MS = 3_600_000;

/** The eras with one more reading in them. One that makes no sense (a boot clock that goes back) changes nothing. */
export function foldReading(eras: readonly ClockEra[], { bootId, uptimeMs, at }: ClockReading): readonly ClockEra[] {
  const last = eras.at(-1);
  if (last === undefined) return [{ number: 1, bootId, fromAt: at, fromUptimeMs: uptimeMs, seenUptimeMs: uptimeMs, untilUptimeMs: uptimeMs, jumpMs: null }];
  // Nothing runs while a host is down, so that time is nobody's.
  if (last.bootId !== bootId) return [...eras, { number: last.number + 1, bootId, fromAt: at - uptimeMs, fromUptimeMs: 0, seenUptimeMs: uptimeMs, untilUptimeMs: uptimeMs, jumpMs: null }];
  if (uptimeMs < last.untilUptimeMs) return eras;
  const jumpMs = at - (last.fromAt + uptimeMs - last.fromUptimeMs);
  if (Math.abs(jumpMs) <= TOLERANCE_MS) return [...eras.slice(0, -1), { ...last, untilUptimeMs: uptimeMs }];
  return [...eras, { number: last.number + 1, bootId, fromAt: at - (uptimeMs - last.untilUptimeMs), fromUptimeMs: last.untilUptimeMs, seenUptimeMs: uptimeMs, untilUptimeMs: uptimeMs, jumpMs }];
}

/**
 * How much time has passed since an instant of the wall clock, at most: the smaller of what that clock says and of what the
 * boot clock witnessed. Where the instant can have been at several moments, since the clock was put back, the latest counts;
 * before gpuctl's first reading there is only the wall clock. `eras` undefined: this host's boot clock is not looked at.
 * Null: not known.
 */
export function elapsedMs(sinceAt: number, now: number, eras: History['clock']): number | null {
  const wallMs = now - sinceAt;
  if (wallMs < 0) return null;
  if (eras === undefined) return wallMs;
  if (eras.length === 0) return null;
  const total = eras.reduce((sum, era) => sum + lengthOf(era), 0);
  return Math.min(wallMs, total - Math.max(...momentsOf(sinceAt, eras)));
}

/** Null where a container started or ended before it was made: a clock was wrong then, and when it really was is not known. */
export function plausible(at: number | null, { createdAt }: { readonly createdAt: number | null }): number | null {
  return at !== null && createdAt !== null && at < createdAt ? null : at;
}

/**
 * For how long a container that does not run has rested: since its end, or where it never started since it was made, but
 * never from before gpuctl's first pass. Null: not known.
 */
export function restedMs(container: Pick<InspectedContainer, 'state' | 'createdAt' | 'finishedAt'>, { firstPassAt, clock }: Pick<History, 'firstPassAt'> & { readonly clock?: History['clock'] | undefined }, now: number): number | null {
  const since = container.state === 'created' ? container.createdAt : plausible(container.finishedAt, container);
  return since === null || firstPassAt === null ? null : elapsedMs(Math.max(since, firstPassAt), now, clock);
}

/** The same up to another instant of the past, which counts as early as it can have been. */
export function elapsedUntilMs(sinceAt: number, untilAt: number, eras: History['clock']): number | null {
  const wallMs = untilAt - sinceAt;
  if (wallMs < 0) return null;
  if (eras === undefined) return wallMs;
  return eras.length === 0 ? null : Math.min(wallMs, Math.min(...momentsOf(untilAt, eras)) - Math.max(...momentsOf(sinceAt, eras)));
}

function lengthOf({ fromUptimeMs, untilUptimeMs }: ClockEra): number {
  return untilUptimeMs - fromUptimeMs;
}

/** Where an instant of the wall clock can lie on the line of all eras, one after the other: at least one place. */
function momentsOf(at: number, eras: readonly ClockEra[]): readonly number[] {
  const moments: number[] = [];
  let [beginsAt, untilAt] = [0, Number.NEGATIVE_INFINITY];
  for (const era of eras) {
    const endsAt = era.fromAt + lengthOf(era);
    if (at >= era.fromAt && at <= endsAt) moments.push(beginsAt + at - era.fromAt);
    if (at >= untilAt) moments.push(...betweenEras(at, { beginsAt, untilAt, era }));
    beginsAt += lengthOf(era);
    untilAt = endsAt;
  }
  if (at > untilAt) moments.push(beginsAt);
  return moments;
}

interface Between {
  /** Where `era` begins on the line. */
  readonly beginsAt: number;
  /** The end of the era before it; −∞: there is none. */
  readonly untilAt: number;
  readonly era: ClockEra;
}

/** While the host was down, or in what a jump left out. The old clock may have gone on for a while, whatever the jump left out. */
function betweenEras(at: number, { beginsAt, untilAt, era }: Between): readonly number[] {
  const wentOnMs = at - untilAt;
  const latest = beginsAt + Math.min(wentOnMs, unseenMs(era));
  // The clock of the era before may have been ahead by the tolerance when it was read last.
  if (at > era.fromAt) return wentOnMs <= Math.max(unseenMs(era), TOLERANCE_MS) ? [latest] : [];
  return era.number === 1 ? [at - era.fromAt] : [beginsAt, latest];
}

/** For how long the clock of the era before may have gone on with nobody looking. */
function unseenMs({ jumpMs, seenUptimeMs, fromUptimeMs }: ClockEra): number {
  return jumpMs === null ? 0 : seenUptimeMs - fromUptimeMs;
}

/** A jump of the wall clock is told until the clocks have gone together for an hour. */
export function clockFindings({ clock }: Pick<History, 'clock'>): readonly Finding[] {
  const last = clock?.at(-1);
  if (last === undefined || last.jumpMs === null || last.untilUptimeMs - last.seenUptimeMs >= TOLD_MS) return [];
  const minutes = Math.round(Math.abs(last.jumpMs) / 60_000);
  return [{
    id: 'host.clock.jumped', severity: 'warning', subject: {},
    message: `the wall clock moved ${last.jumpMs > 0 ? 'forward' : 'back'} by ${minutes} min while the host was up; limits count only the time that the boot clock confirms`,
    remedy: 'see what sets the clock: chronyc tracking, timedatectl',
  }];
}
