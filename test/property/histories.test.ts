import fc, { type Arbitrary } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { containerIdsIn } from '../../src/decide/cgroup.ts';
import type { Target } from '../../src/model/decision.ts';
import { healthCheck } from '../../src/passes/health-check.ts';
import { releaseStale } from '../../src/passes/release-stale.ts';
import { runPass } from '../../src/passes/run-pass.ts';
import { HOUR, runs, type World, world } from './generate.ts';
import { lookAt, snapshotOf } from './host.ts';
import { type Mutation, mutate, mutation } from './mutations.ts';
import { mayRelease, mayReset, mayStillEnd } from './oracle.ts';
import { tried } from '../tally.ts';
import { type Act, type Bench, benchOf, memoryLedger, passOptions } from './ports.ts';

/** One pass in the life of a host. */
interface Chapter {
  /** Since the pass before it; a clock that was put back makes it negative. */
  readonly gapMs: number;
  readonly job: 'release-stale' | 'health-check';
  readonly before: readonly Mutation[];
  /** What happens at each question to the host. */
  readonly during: readonly Mutation[];
  /** The pass is killed at this call of any port; null: it comes to its end. */
  readonly killedAt: number | null;
  readonly stubborn: 'no' | 'term' | 'kill';
  readonly resetFails: boolean;
  /** The host is put back as it was at first: containers and processes come again. */
  readonly again: boolean;
}

const chapter: Arbitrary<Chapter> = fc.record({
  gapMs: fc.constantFrom(60_000, 15 * 60_000, HOUR, HOUR, 7 * HOUR, 25 * HOUR, -HOUR, 30 * 24 * HOUR),
  job: fc.constantFrom('release-stale', 'release-stale', 'health-check'),
  before: fc.array(mutation(1), { maxLength: 3 }),
  during: fc.array(mutation(6), { maxLength: 12 }),
  // The first few are those at which it tells of what was in flight before it.
  killedAt: fc.option(fc.oneof(fc.nat(80), fc.nat(10)), { freq: 3 }),
  stubborn: fc.constantFrom('no', 'no', 'term', 'kill'),
  resetFails: fc.boolean(),
  again: fc.boolean(),
});

class Killed extends Error {}

const tally = { passes: 0, signals: 0, resets: 0, releases: 0, kills: 0, recovered: 0 };

describe('over a history of passes, with life, faults, clock changes and kills between and within them', () => {
  it('every act is one that a naive reading of the design allows at that very moment, and none is forgotten', async () => {
    await fc.assert(fc.asyncProperty(world, fc.array(chapter, { minLength: 2, maxLength: 7 }), async (start, chapters) => {
      const ledger = memoryLedger(start.history);
      const lines: string[] = [];
      let { host, now } = start;
      for (const [n, each] of chapters.entries()) {
        now += each.gapMs;
        host = each.before.reduce(mutate, each.again ? start.host : host);
        const open = ledger.kept.filter(({ ended }) => !ended).map(({ number }) => number);
        const bench = await live({ ...start, host, now }, each, { id: `pass-${n}`, ledger, lines });
        // Whatever was in flight is in the file by the end of the first pass that comes to its own, and never twice.
        const told = toldIn(lines);
        expect(told).toEqual([...new Set(told)]);
        // What the ledger knows to have ended is in the file, whenever the pass was killed.
        expect(ledger.kept.filter(({ ended, number }) => ended && !told.includes(number))).toEqual([]);
        if (each.killedAt === null) expect(open.filter((number) => !told.includes(number))).toEqual([]);
        if (each.killedAt === null) expect(ledger.kept.filter(({ ended, reported, passId }) => !ended && !reported && passId !== `pass-${n}`)).toEqual([]);
        if (each.killedAt === null) expect(ledger.kept.filter(({ ended, passId }) => !ended && passId === `pass-${n}`)).toEqual([]);
        ({ host, now } = bench);
      }
      tally.recovered += lines.flatMap((line) => inFlightIn(JSON.parse(line) as Readonly<Record<string, unknown>>)).length;
      tried('histories');
    }), runs(250));
    // The long run says what it was made of.
    if (process.env['PROPERTY_RUNS'] !== undefined) console.log(JSON.stringify(tally));
    expect(Math.min(...Object.values(tally))).toBeGreaterThan(10);
  }, 3_600_000);
});

/** Numbers of the acts whose end the lines tell, and of those that they tell as having been in flight. */
function toldIn(lines: readonly string[]): readonly number[] {
  return lines.map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>).flatMap((event) => {
    const ended = /-(\d+)$/.exec(String(event['gpuctl.act'] ?? ''))?.[1];
    return [...(ended === undefined ? [] : [Number(ended)]), ...inFlightIn(event)];
  });
}

function inFlightIn(event: Readonly<Record<string, unknown>>): readonly number[] {
  return ((event['gpuctl.acts'] ?? []) as readonly { number: number }[]).map(({ number }) => number);
}

interface Lasting { readonly id: string; readonly ledger: ReturnType<typeof memoryLedger>; readonly lines: string[] }

async function live(now: World, each: Chapter, { id, ledger, lines }: Lasting): Promise<Bench> {
  let calls = 0;
  const bench: Bench = benchOf({
    ...now, ledger, lines,
    stubborn: () => each.stubborn,
    resetFails: each.resetFails,
    change: (host, n) => mutate(host, each.during[n] ?? { kind: 'nothing', at: 0 }),
    onCall: (port) => {
      calls += 1;
      if (each.killedAt !== null && calls > each.killedAt) throw new Killed(port);
    },
    onAct: (act) => { expectAllowed(act, { ...now, host: bench.host, now: bench.now }, bench); },
  });
  const releasedBefore = ledger.history().allocations.filter(({ releasedAt }) => releasedAt !== null).length;
  tally.passes += 1;
  const parts = { ...bench.parts, ledger: watchReleases(bench, now) };
  await runPass(parts, passOptions({ id, job: each.job }), each.job === 'health-check' ? healthCheck : releaseStale).catch((error: unknown) => {
    if (!(error instanceof Killed)) throw error;
    tally.kills += 1;
  });
  tally.releases += Math.max(0, ledger.history().allocations.filter(({ releasedAt }) => releasedAt !== null).length - releasedBefore);
  return bench;
}

/** The host as it was at the last look, which is also what it is at the act: it changes only when it is asked. */
function expectAllowed(act: Act, { host, config, now }: World, bench: Bench): void {
  const history = bench.ledger.history();
  const naive = { snapshot: snapshotOf(host, now), history, config, now };
  expect(isOpen(bench, act.target)).toBe(true);
  if (act.kind === 'signal') {
    tally.signals += 1;
    const { identity } = act.target;
    const process = host.processes.find(({ pid }) => pid === act.target.pid);
    const glance = lookAt(host, { pids: [act.target.pid], containerIds: containerIdsIn(process?.cgroups ?? []), takenAt: now, glance: true });
    expect({ act, may: identity !== null && mayStillEnd(naive, identity, glance) }).toEqual({ act, may: true });
    return;
  }
  tally.resets += 1;
  const reading = { endedOrphan: bench.acts.some(({ kind }) => kind === 'signal'), ghosts: host.processes.filter(({ presence }) => presence === 'absent').map(({ pid }) => pid), readings: [Number.MAX_VALUE, Number.MAX_VALUE] };
  expect({ uuid: act.target.uuid, may: mayReset(naive, act.target.uuid, reading) }).toEqual({ uuid: act.target.uuid, may: true });
}

function isOpen({ ledger }: Bench, target: Target): boolean {
  return (ledger as ReturnType<typeof memoryLedger>).kept.some((each) => !each.ended && JSON.stringify(each.target) === JSON.stringify(target));
}

function watchReleases(bench: Bench, { config }: World): Bench['parts']['ledger'] {
  const { ledger } = bench.parts;
  return new Proxy(ledger, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (name !== 'release' || typeof value !== 'function') return value;
      return (...args: Parameters<typeof ledger.release>) => {
        const history = bench.ledger.history();
        const naive = { snapshot: snapshotOf(bench.host, bench.now), history, config, now: bench.now };
        const mine = history.allocations.filter((each) => each.containerId === args[0].containerId && each.startedAt === args[0].startedAt && each.gpuUuid === args[0].gpuUuid);
        expect(mine.some((each) => mayRelease(naive, each))).toBe(true);
        return Reflect.apply(value, target, args) as void;
      };
    },
  });
}
