import fc, { type Arbitrary } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openEngine } from '../../src/callout/engine.ts';
import { GpuctlError } from '../../src/model/errors.ts';
import { healthCheck } from '../../src/passes/health-check.ts';
import { releaseStale } from '../../src/passes/release-stale.ts';
import { runPass } from '../../src/passes/run-pass.ts';
import { GONE_KNOWN, runs, type World, world } from './generate.ts';
import { ENGINE, type HostState, noTrouble, OTHER_ENGINE } from './host.ts';
import { type Mutation, mutate } from './mutations.ts';
import { benchOf, memoryLedger, passOptions } from './ports.ts';
import { judged } from './rules.ts';

/** Worlds of one known engine whose every question is answered: nothing but the engine is wrong in what follows. */
const sound: Arbitrary<World> = world.map((each) => ({
  ...each,
  host: { ...each.host, engine: { kind: 'docker', engineId: ENGINE }, trouble: noTrouble, shims: each.host.shims.filter(({ containerIds }) => containerIds.every((id) => each.host.containers.some((container) => container.id === id))) },
  history: { ...each.history, engineId: ENGINE },
}));

const WRONG: Readonly<Record<string, (host: HostState) => HostState>> = {
  'another engine answers on the socket': (host) => ({ ...host, engine: { kind: 'docker', engineId: OTHER_ENGINE } }),
  'another engine answers, with a list of nothing': (host) => ({ ...host, engine: { kind: 'docker', engineId: OTHER_ENGINE }, containers: [] }),
  'podman took the place of the engine': (host) => ({ ...host, engine: { kind: 'podman', engineId: null }, containers: [] }),
  'the engine does not say who it is': (host) => ({ ...host, engine: { kind: 'docker', engineId: null } }),
  'a container that vanished from its list still has a shim': (host) => ({ ...host, shims: [...host.shims, { pid: 900, containerIds: [GONE_KNOWN[0] ?? ''] }] }),
};

describe('an engine that is not the right one', () => {
  it.each(Object.entries(WRONG))('counts as failed: nothing is released, ended or reset, and nothing is learned: %s', async (_, wrong) => {
    await fc.assert(fc.asyncProperty(sound, fc.constantFrom(releaseStale, healthCheck), async (each, story) => {
      const ledger = memoryLedger(each.history);
      const bench = benchOf({ ...each, host: wrong(each.host), ledger });
      const report = await runPass(bench.parts, passOptions(), story);
      expect(bench.acts).toEqual([]);
      expect(report.decisions.filter(({ verdict }) => verdict === 'act')).toEqual([]);
      expect(report.observed.engine).toBe('failed');
      expect(report.exit).toBe(3);
      const { engineId, knownContainerIds, allocations } = ledger.history();
      expect({ engineId, knownContainerIds, allocations }).toEqual({ engineId: each.history.engineId, knownContainerIds: each.history.knownContainerIds, allocations: each.history.allocations });
      expect(bench.events.filter(({ action, reason }) => action === 'observe.failed' && reason === 'untrusted')).toHaveLength(1);
    }), runs(150));
  });

  it.each(['engine-swapped', 'podman', 'shim-appears'] as const)('does no harm when it comes in the middle of a pass: after "%s" nothing that it says is acted on', async (kind) => {
    let before = 0;
    await fc.assert(fc.asyncProperty(sound, fc.nat(7), async (each, at) => {
      const change: Mutation = { kind, at: 0 };
      let swapped = false;
      const after: string[] = [];
      const bench = benchOf({
        ...each,
        change: (host, n) => { if (n !== at) return host; swapped = true; return mutate(host, change); },
        onAct: (act) => { if (swapped && (kind !== 'shim-appears' || act.kind === 'signal')) after.push(act.kind); else before += 1; },
      });
      await runPass(bench.parts, passOptions(), releaseStale);
      expect(after).toEqual([]);
    }), runs(250));
    expect(before).toBeGreaterThan(0);
  });

  it('is not seen where there is none: the right engine is believed', () => {
    fc.assert(fc.property(sound, (each) => {
      expect(judged(each).snapshot.engine.state).not.toBe('failed');
    }), runs(300));
  });

  it('is learned by the first pass, whoever it is', async () => {
    await fc.assert(fc.asyncProperty(sound, async (each) => {
      const ledger = memoryLedger({ ...each.history, engineId: null, knownContainerIds: [] });
      await runPass(benchOf({ ...each, ledger }).parts, passOptions(), releaseStale);
      expect(ledger.history().engineId).toBe(ENGINE);
    }), runs(100));
  });
});

describe('the engine’s address', () => {
  it('is a local socket, or refused before anything is asked', () => {
    const remote = fc.oneof(fc.constantFrom('tcp://127.0.0.1:2375', 'ssh://root@host', 'http://localhost', 'https://10.0.0.1', 'npipe:////./pipe/docker', 'fd://', 'unix://relative', 'unix:', '/var/run/docker.sock', '', 'UNIX:///x'), fc.string().filter((each) => !each.startsWith('unix:///')));
    fc.assert(fc.property(remote, (host) => {
      expect(() => openEngine({ host, timeoutMs: 1000 })).toThrow(GpuctlError);
    }), runs(200));
  });
});
