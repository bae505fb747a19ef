import { Chalk } from 'chalk';
import fc, { type Arbitrary } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { renderPass } from '../../src/cli/render/pass.ts';
import { defaultConfig } from '../../src/config/defaults.ts';
import { limitValuesOf } from '../../src/config/limits.ts';
import type { Config } from '../../src/config/types.ts';
import { resolveReference } from '../../src/decide/device-reference.ts';
import { normalizeBusId } from '../../src/model/device.ts';
import { printable } from '../../src/model/text.ts';
import { releaseStale } from '../../src/passes/release-stale.ts';
import { runPass } from '../../src/passes/run-pass.ts';
import { renderEvent } from '../../src/record/events.ts';
import { HOSTILE_TEXTS } from './generate-claims.ts';
import { HOUR, MINUTE, runs, type World, world } from './generate.ts';
import { idsIn } from './host.ts';
import { benchOf, passOptions } from './ports.ts';
import { judged, kills, releases, resets, secondLook } from './rules.ts';

/** Characters that drive a terminal, turn writing around, or end a line. */
const DRIVING = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;

const text: Arbitrary<string> = fc.oneof(fc.constantFrom(...HOSTILE_TEXTS), fc.string({ unit: 'binary', maxLength: 60 }), fc.string({ unit: 'grapheme', maxLength: 60 }));

/** The same world with every text that a user chooses written anew: names of containers and processes, images, labels that are not read. Root's own name may permit it, outside containers. */
function rewritten(each: World, words: readonly string[]): World {
  const word = (n: number): string => words[n % words.length] ?? '';
  return {
    ...each,
    host: {
      ...each.host,
      containers: each.host.containers.map((container, n) => (container.inspected
        ? { ...container, name: word(n), image: word(n + 1), labels: { ...container.labels, [`com.example.${word(n + 2)}`]: word(n + 3) } }
        : { ...container, name: word(n) })),
      processes: each.host.processes.map((process, n) => ({ ...process, title: word(n + 4), command: process.uid !== 0 || idsIn(process.cgroups).length > 0 ? word(n + 5) : process.command })),
    },
  };
}

function decided(each: World): unknown {
  const first = judged(each);
  const all = [...kills(first, secondLook(first, each.host, 2000), each.config), ...releases(first, each.config, each.now), ...resets(first, each, { orphanEnded: true, ghosts: [] })];
  return all.map(({ verb, verdict, reason, target }) => [verb, verdict, reason, target.kind === 'gpu' ? target.uuid : target.kind === 'process' ? target.pid : 'containerId' in target ? target.containerId : null]);
}

describe('text of the host is data', () => {
  it('decides nothing: with every name written anew, the same is decided', () => {
    fc.assert(fc.property(world, fc.array(text, { minLength: 1, maxLength: 6 }), (each, words) => {
      expect(decided(rewritten(each, words))).toEqual(decided(each));
    }), runs(500));
  });

  it('cannot leave its line in the event stream, nor drive a terminal, nor make a line too long', async () => {
    let lines = 0;
    await fc.assert(fc.asyncProperty(world, fc.array(text, { minLength: 1, maxLength: 6 }), async (each, words) => {
      const bench = benchOf(rewritten(each, words));
      const report = await runPass(bench.parts, passOptions(), releaseStale);
      for (const event of bench.events) {
        const line = renderEvent(event, { host: 'gpu01', pass: 'p', job: 'release-stale', dryRun: false, version: '0', now: () => bench.now });
        lines += 1;
        expect(Buffer.byteLength(line)).toBeLessThanOrEqual(8192);
        expect(line.endsWith('\n')).toBe(true);
        expect(DRIVING.test(line.slice(0, -1))).toBe(false);
        expect((JSON.parse(line) as Record<string, unknown>)['event.action']).toBe(event.action);
      }
      for (const line of renderPass(report, new Chalk({ level: 0 })).split('\n')) expect(DRIVING.test(line)).toBe(false);
    }), runs(150));
    expect(lines).toBeGreaterThan(0);
  });

  it('printed, is one line of bounded length', () => {
    fc.assert(fc.property(text, fc.integer({ min: 2, max: 300 }), (each, limit) => {
      const shown = printable(each, limit);
      expect(DRIVING.test(shown)).toBe(false);
      expect(shown.length).toBeLessThanOrEqual(limit);
    }), runs(500));
  });

  it('as a reference, names devices of this host or none, however it is written', () => {
    const named = { gpus: 0, migs: 0 };
    fc.assert(fc.property(world, text, fc.nat(), fc.integer({ min: 1, max: 40 }), (each, other, at, length) => {
      const { gpus } = judged(each);
      const names = [other, 'all', ...gpus.flatMap(({ uuid, pciBusId, index, migDevices }) => [uuid, pciBusId, `${index}`, ...migDevices.flatMap((mig) => [mig.uuid ?? other, `${index}:${mig.index}`])])];
      const name = names[at % names.length] ?? other;
      for (const reference of [name, name.slice(0, length), name.toUpperCase(), `${name}${other}`, `${other}${name}`]) {
        for (const { gpuUuid, migUuid } of resolveReference(reference, gpus)) {
          const gpu = gpus.find(({ uuid }) => uuid === gpuUuid);
          expect([null, ...(gpu?.migDevices ?? []).map(({ uuid }) => uuid)]).toContain(gpu === undefined ? undefined : migUuid);
          named[migUuid === null ? 'gpus' : 'migs'] += 1;
        }
      }
    }), runs(500));
    expect(named).toEqual({ gpus: expect.toSatisfy((count: number) => count > 0), migs: expect.toSatisfy((count: number) => count > 0) });
  });

  it('never becomes the name of a device in a reset: that is a bus id', () => {
    let ids = 0;
    fc.assert(fc.property(fc.oneof(text, fc.stringMatching(/^ ?([\dA-Fa-f]{1,9}:)?[\dA-Fa-f]{1,3}:[\dA-Fa-f]{1,3}\.\d ?$/)), (each) => {
      const busId = normalizeBusId(each);
      if (busId === null) return;
      ids += 1;
      expect(busId).toMatch(/^[0-9a-f]{8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/);
    }), runs(500));
    expect(ids).toBeGreaterThan(0);
  });

  it('in the environment of a running process adds claims and takes none away', () => {
    fc.assert(fc.property(world, fc.oneof(text, fc.constantFrom('void', 'none', '', 'all', '0', '0,1')), (each, visible) => {
      const { host } = each;
      const containers = host.containers.map((container) => (container.inspected ? { ...container, effectiveVisibleDevices: visible } : container));
      const without = { ...each, host: { ...host, containers: host.containers.map((container) => (container.inspected ? { ...container, effectiveVisibleDevices: null } : container)) } };
      const claimed = (one: World): readonly string[] => judged(one).claims.claims.map(({ containerId, gpuUuid, migUuid }) => `${containerId} ${gpuUuid} ${migUuid}`);
      expect(claimed({ ...each, host: { ...host, containers } })).toEqual(expect.arrayContaining([...claimed(without)]));
    }), runs(400));
  });
});

const some = fc.record({
  idleTimeoutMs: fc.constantFrom(null, MINUTE, HOUR, 9 * HOUR), maxRuntimeMs: fc.constantFrom(null, HOUR, 24 * HOUR, 99 * HOUR), gpuHoldAfterStopMs: fc.constantFrom(null, 0, MINUTE, HOUR),
  containerHoldAfterStopMs: fc.constantFrom(null, 0, HOUR), idleChecks: fc.integer({ min: 1, max: 9 }), keepAliveMaxMs: fc.constantFrom(0, HOUR, 99 * HOUR), stopGraceMs: fc.constantFrom(1000, 60_000),
}, { requiredKeys: [] });

const limits: Arbitrary<Config> = fc.record({ type: some, user: some, group: some, trust: fc.subarray<'owner' | 'type'>(['owner', 'type']) }).map(({ type, user, group, trust }) => {
  const base = defaultConfig();
  return { ...base, limits: { ...base.limits, trustLabels: trust, types: { job: type }, users: { alice: user }, groups: [{ name: 'team', members: ['alice'], unixGroup: null, limits: group }] } } as Config;
});

describe('what a container says of itself', () => {
  it('may tighten a limit and never loosens one, unless the configuration trusts it', () => {
    let trusted = 0;
    fc.assert(fc.property(limits, fc.constantFrom(null, 'alice', 'mallory', '__proto__', 'constructor'), fc.constantFrom(null, 'job', 'toString'), (config, owner, type) => {
      const trusts = config.limits.trustLabels;
      const said = limitValuesOf({ owner, type, unixGroups: [] }, config);
      const unsaid = limitValuesOf({ owner: trusts.includes('owner') ? owner : null, type: trusts.includes('type') ? type : null, unixGroups: [] }, config);
      if (trusts.length > 0) trusted += 1;
      for (const key of Object.keys(unsaid) as (keyof typeof unsaid)[]) expect(said[key] ?? Infinity).toBeLessThanOrEqual(unsaid[key] ?? Infinity);
    }), runs(800));
    expect(trusted).toBeGreaterThan(0);
  });
});
