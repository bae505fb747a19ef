import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CLAIM_KINDS } from './generate-claims.ts';
import { runs, world } from './generate.ts';
import { judged, kills, releases, resets, secondLook } from './rules.ts';

/** A fixed seed: a generator that has grown dull must fail every time, not now and then. */
const SAMPLES = 2000;
const SEED = 20_261_122;

function tally(): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  const count = (what: string): void => { counts.set(what, (counts.get(what) ?? 0) + 1); };
  for (const each of fc.sample(world, { numRuns: SAMPLES, seed: SEED })) {
    const first = judged(each);
    const second = secondLook(first, each.host, each.config.orphans.confirmAfterMs);
    for (const { verdict, reason } of kills(first, second, each.config)) count(`kill ${verdict} ${reason}`);
    for (const { verdict, reason } of releases(first, each.config, each.now)) count(`release ${verdict} ${reason}`);
    for (const { verdict, reason, evidence } of resets(first, each, { orphanEnded: false, ghosts: ghostsOf(each.host) })) {
      count(`reset ${verdict} ${reason}`);
      for (const { kind, hard } of (evidence['blockers'] ?? []) as readonly { kind: string; hard: boolean }[]) count(`blocker ${kind} ${hard ? 'hard' : 'yielding'}`);
    }
    for (const claim of first.claims.claims) count(`claim ${claim.source}`);
    for (const { source } of first.claims.unresolved) count(`unresolved ${source}`);
    if (first.snapshot.engine.state === 'failed') count('engine failed');
  }
  return counts;
}

function ghostsOf({ processes }: { readonly processes: readonly { readonly pid: number; readonly presence: string }[] }): readonly number[] {
  return processes.filter(({ presence }) => presence === 'absent').map(({ pid }) => pid);
}

describe('generated hosts', () => {
  const counts = tally();
  if (process.env['PROPERTY_TALLY'] !== undefined) console.log([...counts].toSorted().map(([what, n]) => `${n}\t${what}`).join('\n'));

  it.each([
    ['kill act orphan-container-gone', 200], ['kill act orphan-container-stopped', 60], ['kill leave running-container', 100], ['kill leave other-manager', 50],
    ['kill leave foreign-shim-alive', 20], ['kill leave foreign-pid-namespace', 20], ['kill leave foreign-podman', 3], ['kill leave host-permitted', 20], ['kill leave host-stray', 50],
    ['kill leave ghost', 20], ['kill leave zombie', 20], ['kill leave stuck', 5], ['kill leave own-process', 10], ['kill leave not-compute', 20], ['kill refuse mps-client', 5],
    ['kill refuse process-unreadable', 20], ['kill refuse engine-unknown', 20], ['kill leave container-not-settled', 20],
    ['release act gone', 50], ['release act hold-expired', 60], ['release act no-hold', 15], ['release leave still-running', 100], ['release leave within-hold', 30], ['release leave hold-never', 20],
    ['release leave age-unknown', 20], ['release leave first-pass', 10], ['release leave protected', 10], ['release refuse containers-unknown', 20], ['release refuse container-unknown', 10],
    ['reset act reset-asked', 100], ['reset act repair-pending', 10], ['reset act dirty-ghost', 10], ['reset act dirty-memory', 10], ['reset refuse blocked', 300], ['reset leave not-yet-confirmed', 100],
    ['reset leave clean', 300], ['reset refuse policy-never', 5],
    ['blocker container-claim hard', 100], ['blocker uninspected-container hard', 10], ['blocker live-process hard', 100], ['blocker process-list-unknown hard', 20], ['blocker node-holder hard', 20],
    ['blocker holders-unknown hard', 10], ['blocker claims-unknown hard', 20], ['blocker mig-enabled hard', 50], ['blocker mig-unknown hard', 10], ['blocker display-active hard', 20],
    ['blocker cool-down hard', 20], ['blocker quarantine hard', 10], ['blocker device-unknown hard', 10], ['blocker persistence-daemon yielding', 5],
    ['claim device-request', 300], ['claim cdi', 100], ['claim environment', 100], ['claim device-node', 100], ['claim label', 100], ['claim live-process', 50], ['claim uninspected', 20],
    ['unresolved device-request', 20], ['unresolved label', 20], ['engine failed', 50],
  ] as const)('have enough of: %s', (what, least) => {
    expect(counts.get(what) ?? 0).toBeGreaterThanOrEqual(least);
  });

  it('are as many as asked for', () => {
    expect(runs(100).numRuns).toBe(Math.round(100 * Number(process.env['PROPERTY_RUNS'] ?? 1)));
    expect(CLAIM_KINDS.length).toBeGreaterThan(30);
  });
});
