import { describe, expect, it } from 'vitest';
import { defaultConfig } from '../../../src/config/defaults.ts';
import type { JobName } from '../../../src/model/schedule.ts';
import { createDaemon, type Daemon, type Skipped } from '../../../src/schedule/daemon.ts';
import { type Schedule, slotsOf } from '../../../src/schedule/slots.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const START = Date.UTC(2026, 10, 22, 0, 0);
const { schedule } = defaultConfig();

/** A host whose time goes on only when everybody sleeps. */
function simulate(durations: (job: JobName, at: number) => number, { changes = {}, zone = 'UTC', start = START }: { changes?: Partial<Schedule>; zone?: string; start?: number } = {}) {
  let now = start;
  const sleepers = new Set<{ readonly at: number; readonly wake: () => void }>();
  const ran: { job: JobName; from: number; to: number | null; asked: boolean }[] = [];
  const skipped: Skipped[] = [];
  let running = 0;
  let mostAtOnce = 0;
  const sleep = (at: number, woken: Promise<void>): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const sleeper = { at, wake: () => { sleepers.delete(sleeper); resolve(); } };
    sleepers.add(sleeper);
    void woken.then(sleeper.wake);
    return promise;
  };
  const daemon: Daemon = createDaemon(slotsOf({ ...schedule, ...changes }), {
    now: () => now, sleepUntil: sleep, zone,
    skipped: (skip) => { skipped.push(skip); },
    start(job) {
      const run: (typeof ran)[number] = { job, from: now, to: null, asked: false };
      ran.push(run);
      running += 1;
      mostAtOnce = Math.max(mostAtOnce, running);
      const done = sleep(now + durations(job, now), Promise.withResolvers<void>().promise).then(() => { run.to = now; running -= 1; });
      return { done, end: () => { run.asked = true; } };
    },
  });
  const settle = async (): Promise<void> => { for (let n = 0; n < 20; n++) await Promise.resolve(); };
  return {
    daemon, ran, skipped,
    mostAtOnce: () => mostAtOnce,
    minutesOf: (job: JobName) => ran.filter((each) => each.job === job).map(({ from }) => new Date(from).getUTCMinutes()),
    /** The clock is put there, without anybody being woken. */
    jump: (at: number) => { now = at; },
    async until(end: number): Promise<void> {
      await settle();
      for (let next = earliest(sleepers); next !== null && next.at <= end; next = earliest(sleepers)) {
        now = Math.max(now, next.at);
        next.wake();
        await settle();
      }
      now = Math.max(now, end);
    },
  };
}

function earliest<T extends { readonly at: number }>(sleepers: ReadonlySet<T>): T | null {
  return [...sleepers].toSorted((a, b) => a.at - b.at)[0] ?? null;
}

describe('the daemon', () => {
  it('runs a whole day on time: nothing overlaps, nothing is missed', async () => {
    const day = simulate((job) => (job === 'sample' ? 5000 : 4 * MINUTE));
    void day.daemon.run();
    await day.until(START + 24 * HOUR - 1);
    expect(day.skipped.filter(({ job }) => job !== 'sample')).toEqual([]);
    expect(day.mostAtOnce()).toBe(1);
    for (const [job, minute] of [['release-stale', 5], ['check-idle', 20], ['enforce-runtime', 35], ['cleanup-containers', 50]] as const) {
      expect(day.minutesOf(job)).toEqual(Array.from({ length: 24 }, () => minute));
    }
    // While a pass of four minutes runs, the sample of :07, :22, :37 or :52 is left out.
    expect(day.ran.filter(({ job }) => job === 'sample').length + day.skipped.length).toBe(24 * 12);
    expect(day.skipped.every(({ why }) => why === 'busy')).toBe(true);
  });

  it('runs every sample as well where passes are short', async () => {
    const day = simulate(() => 20_000);
    void day.daemon.run();
    await day.until(START + 24 * HOUR - 1);
    expect(day.skipped).toEqual([]);
    expect(day.ran.length).toBe(24 * (4 + 12));
  });

  it('runs hourly jobs in every hour of the night that repeats one', async () => {
    const night = simulate(() => 1000, { zone: 'Europe/Berlin', start: Date.UTC(2026, 9, 24, 22, 0) });
    void night.daemon.run();
    await night.until(Date.UTC(2026, 9, 25, 3, 0) - 1);
    expect(night.ran.filter(({ job }) => job === 'check-idle').map(({ from }) => new Date(from).toISOString().slice(11, 16))).toEqual(['22:20', '23:20', '00:20', '01:20', '02:20']);
  });

  it('skips a pass whose predecessor still runs, says so, and goes on with the next', async () => {
    const hour = simulate((job) => (job === 'release-stale' ? 17 * MINUTE : 1000));
    void hour.daemon.run();
    await hour.until(START + HOUR - 1);
    expect(hour.skipped.filter(({ job }) => job === 'check-idle')).toEqual([{ job: 'check-idle', at: START + 20 * MINUTE, why: 'busy', running: 'release-stale' }]);
    expect(hour.minutesOf('enforce-runtime')).toEqual([35]);
    expect(hour.mostAtOnce()).toBe(1);
  });

  it('lets a pass wait for a sample that still runs, and starts it right after', async () => {
    const hour = simulate((job) => (job === 'sample' ? 3.5 * MINUTE : 1000));
    void hour.daemon.run();
    await hour.until(START + 10 * MINUTE);
    expect(hour.ran.map(({ job, from }) => [job, from - START])).toContainEqual(['release-stale', 5.5 * MINUTE]);
    expect(hour.mostAtOnce()).toBe(1);
  });

  it('skips what it slept through, and catches nothing up', async () => {
    const host = simulate(() => 1000);
    void host.daemon.run();
    await host.until(START + 4 * MINUTE);
    host.jump(START + 3 * HOUR + 30 * MINUTE);
    await host.until(START + 3 * HOUR + 36 * MINUTE);
    expect(host.skipped.map(({ job, why }) => [job, why])).toEqual([['release-stale', 'missed']]);
    expect(host.ran.filter(({ from }) => from > START + 5 * MINUTE).map(({ job, from }) => [job, (from - START - 3 * HOUR) / MINUTE])).toEqual([['sample', 32], ['enforce-runtime', 35]]);
  });

  it('runs no slot twice when its clock is put back a little', async () => {
    const host = simulate(() => 1000);
    void host.daemon.run();
    await host.until(START + 5 * MINUTE + 2000);
    host.jump(START + 4 * MINUTE + 59_000);
    host.daemon.reload(slotsOf({ ...schedule }));
    await host.until(START + 19 * MINUTE);
    expect(host.minutesOf('release-stale')).toEqual([5]);
  });

  it('asks what runs to end, starts nothing more, and ends when that has ended', async () => {
    const host = simulate(() => 4 * MINUTE);
    let ended = false;
    const done = host.daemon.run().then(() => { ended = true; });
    await host.until(START + 6 * MINUTE);
    host.daemon.stop();
    await host.until(START + 6 * MINUTE + 1);
    expect(ended).toBe(false);
    expect(host.ran.at(-1)).toMatchObject({ asked: true, to: null });
    await host.until(START + 2 * HOUR);
    await done;
    expect(host.ran.at(-1)?.to).not.toBeNull();
    expect(host.ran.every(({ from }) => from <= START + 6 * MINUTE)).toBe(true);
  });

  it('takes a new schedule at once', async () => {
    const host = simulate(() => 1000);
    void host.daemon.run();
    await host.until(START + 3 * MINUTE);
    host.daemon.reload(slotsOf({ ...schedule, 'release-stale': '11 * * * *' }));
    await host.until(START + 15 * MINUTE);
    expect(host.minutesOf('release-stale')).toEqual([11]);
  });
});
