import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { assess } from '../../src/decide/assess.ts';
import type { Target } from '../../src/model/decision.ts';
import type { Ledger } from '../../src/passes/ports.ts';
import { healthCheck } from '../../src/passes/health-check.ts';
import { releaseStale } from '../../src/passes/release-stale.ts';
import { runPass } from '../../src/passes/run-pass.ts';
import { openLedger } from '../../src/record/ledger/open.ts';
import { LedgerError } from '../../src/record/ledger/errors.ts';
import { HOUR, runs, type World, world } from './generate.ts';
import { snapshotOf } from './host.ts';
import { type Act, benchOf, type KeptAct, memoryLedger, passOptions } from './ports.ts';
import { policyOf } from './rules.ts';

const folder = mkdtempSync(join(tmpdir(), 'gpuctl-property-'));
afterAll(() => { rmSync(folder, { recursive: true, force: true }); });
let files = 0;

/** What a kill of the process is to the code that runs: nothing more happens. */
class Killed extends Error {}

function isAbout(act: Act, target: Target): boolean {
  if (act.kind === 'signal') return target.kind === 'process' && target.pid === act.target.pid && target.identity?.startTicks === act.target.identity?.startTicks;
  return target.kind === 'gpu' && target.uuid === act.target.uuid && target.pciBusId === act.target.pciBusId;
}

function isOpenFor(kept: readonly KeptAct[], act: Act): boolean {
  const verb = act.kind === 'signal' ? 'kill' : 'reset';
  return kept.some((each) => !each.ended && each.verb === verb && isAbout(act, each.target));
}

describe('every act is written before it is tried and after it ended', () => {
  it.each([['release-stale', releaseStale], ['health-check', healthCheck]] as const)('in %s', async (job, story) => {
    let acts = 0;
    await fc.assert(fc.asyncProperty(world, fc.constantFrom('no', 'term', 'kill'), fc.boolean(), async (each, stubborn, resetFails) => {
      const ledger = memoryLedger(each.history);
      const unwritten: Act[] = [];
      const bench = benchOf({ ...each, ledger, stubborn: () => stubborn, resetFails, onAct: (act) => { acts += 1; if (!isOpenFor(ledger.kept, act)) unwritten.push(act); } });
      const report = await runPass(bench.parts, passOptions({ job }), story);
      expect(unwritten).toEqual([]);
      expect(ledger.kept.filter(({ ended }) => !ended)).toEqual([]);
      // A reset counts from the moment that it was tried, whether it went well or not.
      for (const act of bench.acts) if (act.kind === 'reset') expect(ledger.history().resets.some(({ gpuUuid, at }) => gpuUuid === act.target.uuid && at > each.now)).toBe(true);
      // Every release that is told was begun, and is in the history.
      const released = report.outcomes.flatMap(({ decision, result }) => (result === 'done' && report.decisions[decision]?.verb === 'release' ? [report.decisions[decision]] : []));
      expect(ledger.kept.filter(({ verb }) => verb === 'release')).toHaveLength(released.length);
    }), runs(300));
    expect(acts).toBeGreaterThan(0);
  });

  it('killed at any moment, the next pass reports exactly what was in flight, and no reset is forgotten', async () => {
    let inFlightSeen = 0;
    await fc.assert(fc.asyncProperty(world, fc.nat(60), async (each, at) => {
      const ledger = memoryLedger(each.history);
      let calls = 0;
      const killed = benchOf({ ...each, ledger, stubborn: () => 'term', onCall: () => { calls += 1; if (calls > at) throw new Killed('SIGKILL'); } });
      await runPass(killed.parts, passOptions({ id: 'pass-1' }), releaseStale).catch((error: unknown) => { if (!(error instanceof Killed)) throw error; });
      const inFlight = ledger.kept.filter(({ ended }) => !ended).map(({ number }) => number);
      const tried = killed.acts.filter(({ kind }) => kind === 'reset').map(({ target }) => (target.kind === 'gpu' ? target.uuid : ''));

      const next = benchOf({ ...each, host: { ...killed.host, gpus: each.host.gpus }, now: killed.now + HOUR, ledger });
      await runPass(next.parts, passOptions({ id: 'pass-2' }), releaseStale);
      const recovered = next.events.filter(({ action }) => action === 'pass.recovered');
      const reported = recovered.flatMap(({ facts }) => ((facts?.['acts'] ?? []) as readonly KeptAct[]).map(({ number }) => number));
      expect(reported).toEqual(inFlight);
      expect(recovered).toHaveLength(inFlight.length === 0 ? 0 : 1);
      inFlightSeen += inFlight.length;
      // In its cool-down, whether or not the pass lived to write how the reset ended.
      for (const uuid of tried) expect(next.acts.filter((act) => act.kind === 'reset' && act.target.uuid === uuid)).toEqual([]);

      const third = benchOf({ ...each, host: next.host, now: next.now + HOUR, ledger });
      await runPass(third.parts, passOptions({ id: 'pass-3' }), releaseStale);
      expect(third.events.filter(({ action }) => action === 'pass.recovered')).toEqual([]);
    }), runs(300));
    expect(inFlightSeen).toBeGreaterThan(0);
  });

  it('killed at or after a reset, the reset counts for the cool-down all the same', async () => {
    let tried = 0;
    await fc.assert(fc.asyncProperty(world, fc.nat(9), async (each, after) => {
      const ledger = memoryLedger(each.history);
      let since: number | null = null;
      const killed = benchOf({
        ...each, ledger,
        onAct: ({ kind }) => { if (kind === 'reset') since ??= 0; },
        onCall: () => { if (since !== null && (since += 1) > after) throw new Killed('SIGKILL'); },
      });
      await runPass(killed.parts, passOptions({ id: 'pass-1' }), healthCheck).catch((error: unknown) => { if (!(error instanceof Killed)) throw error; });
      const uuids = killed.acts.flatMap((act) => (act.kind === 'reset' ? [act.target.uuid] : []));
      tried += uuids.length;
      // As dirty as it was before: only the ledger can know that it was tried.
      const next = benchOf({ ...each, now: killed.now + HOUR, ledger });
      await runPass(next.parts, passOptions({ id: 'pass-2' }), healthCheck);
      expect(next.acts.filter((act) => act.kind === 'reset' && uuids.includes(act.target.uuid))).toEqual([]);
    }), runs(400));
    expect(tried).toBeGreaterThan(0);
  });

  it('a ledger that cannot be written, from whichever call on, lets nothing more be done', async () => {
    const writing = new Set(['ledger.beginPass', 'ledger.markActsTold', 'ledger.beginAct', 'ledger.endAct', 'ledger.recordObservation', 'ledger.release', 'ledger.wantReset', 'ledger.withdrawReset', 'ledger.recordReset', 'ledger.quarantine', 'ledger.recordMemory', 'ledger.endPass']);
    await fc.assert(fc.asyncProperty(world, fc.nat(20), async (each, from) => {
      let writes = 0;
      let actsAfter = 0;
      const bench = benchOf({
        ...each,
        onCall: (port) => {
          if (!writing.has(port)) return;
          writes += 1;
          if (writes > from) throw new LedgerError('disk full', { code: 'ledger-unwritable', hint: 'free some space' });
        },
        onAct: () => { if (writes > from) actsAfter += 1; },
      });
      await runPass(bench.parts, passOptions(), releaseStale).catch((error: unknown) => { if (!(error instanceof LedgerError)) throw error; });
      expect(actsAfter).toBe(0);
      if (from === 0) expect(bench.calls.filter((call) => call.startsWith('actor.') || call.startsWith('observer.'))).toEqual([]);
    }), runs(250));
  });

  it('with the real ledger: what is in flight is in the file before the act, and read back after a kill', async () => {
    let acts = 0;
    await fc.assert(fc.asyncProperty(world, fc.integer({ min: 5, max: 40 }), async (each, at) => {
      const file = join(folder, `ledger-${files += 1}.db`);
      const clock = { now: each.now };
      const open = (): Ledger => openLedger({ file, now: () => clock.now, mode: 'write' });
      const ledger = open();
      seed(ledger, each);
      const begun: string[] = [];
      let calls = 0;
      const bench = benchOf({
        ...each, ledger, stubborn: () => 'kill',
        onCall: () => { calls += 1; if (calls > at) throw new Killed('SIGKILL'); },
        onAct: (act) => {
          acts += 1;
          begun.push(...inFlightIn(file).filter(({ target }) => isAbout(act, target)).map(({ passId }) => passId));
        },
      });
      await runPass(bench.parts, passOptions({ id: 'pass-1' }), releaseStale).catch((error: unknown) => { if (!(error instanceof Killed)) throw error; });
      // Never closed by the one who was killed.
      const after = open();
      const reported = benchOf({ ...each, host: bench.host, now: bench.now + HOUR, ledger: after });
      await runPass(reported.parts, passOptions({ id: 'pass-2' }), releaseStale);
      const resets = bench.acts.filter((act) => act.kind === 'reset');
      for (const act of resets) expect(after.history().resets.map(({ gpuUuid }) => gpuUuid)).toContain(act.target.kind === 'gpu' ? act.target.uuid : '');
      expect(begun.filter((id) => id !== 'pass-1')).toEqual([]);
      expect(begun.length).toBeGreaterThanOrEqual(bench.acts.length);
      after.close();
      ledger.close();
    }), runs(25));
    expect(acts).toBeGreaterThan(0);
  });
});

/** What another process that reads the file finds in flight. */
function inFlightIn(file: string): readonly { readonly passId: string; readonly target: Target }[] {
  const reader = new DatabaseSync(file, { readOnly: true });
  try {
    return reader.prepare('SELECT pass_id, target FROM acts WHERE ended_at IS NULL').all().map((row) => ({ passId: String(row['pass_id']), target: JSON.parse(String(row['target'])) as Target }));
  } finally {
    reader.close();
  }
}

/** The ledger as earlier passes would have left it. */
function seed(ledger: Ledger, each: World): void {
  const { history, config, now } = each;
  const { snapshot, claims } = assess(snapshotOf(each.host, now - HOUR), history, policyOf(config));
  ledger.recordObservation(snapshot.engine.state === 'failed' ? null : snapshot.engine.value, claims.claims, new Map(), now - HOUR);
  for (const { gpuUuid, at, succeeded } of history.resets) ledger.recordReset(gpuUuid, succeeded, at);
  for (const want of history.resetWants) ledger.wantReset(want);
  for (const uuid of history.quarantined) ledger.quarantine(uuid, now);
  ledger.recordMemory(history.memory);
}
