import fc, { type Arbitrary } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hostState, runs, type World, world } from './generate.ts';
import { type HostState, snapshotOf, type Trouble } from './host.ts';
import { mayRelease } from './oracle.ts';
import { judged, kills, releases, resets, secondLook } from './rules.ts';
import { blockersIn } from '../../src/decide/reset.ts';

/** Every act that the rules would do to a world whose second look is made at `later`, as one text each. */
function acts(each: World, later: HostState = each.host): readonly string[] {
  const first = judged(each);
  const second = secondLook(first, later, each.config.orphans.confirmAfterMs);
  return [
    ...kills(first, second, each.config).flatMap(({ verdict, target }) => (verdict === 'act' ? [`kill ${target.pid}`] : [])),
    ...releases(first, each.config, each.now).flatMap(({ verdict, target }) => (verdict === 'act' ? [`release ${target.containerId} ${target.gpuUuid} ${target.startedAt}`] : [])),
    ...resets(first, each, { orphanEnded: true, ghosts: ghostsOf(each.host) }).flatMap(({ verdict, target }) => (verdict === 'act' ? [`reset ${target.uuid}`] : [])),
  ];
}

function ghostsOf({ processes }: HostState): readonly number[] {
  return processes.filter(({ presence }) => presence === 'absent').map(({ pid }) => pid);
}

function withTrouble(each: World, trouble: Partial<Trouble>): World {
  return { ...each, host: { ...each.host, trouble: { ...each.host.trouble, ...trouble } } };
}

/** Ways in which less is seen of the same host. */
type Veil = (host: HostState, at: number) => HostState;
const VEILS: Readonly<Record<string, Veil>> = {
  'nvidia-smi fails': (host) => ({ ...host, trouble: { ...host.trouble, driver: 'failed' } }),
  'nvidia-smi drops a GPU': (host) => ({ ...host, trouble: { ...host.trouble, driver: host.trouble.driver === 'failed' ? 'failed' : 'partial' } }),
  'a process list is swallowed': (host, at) => ({ ...host, gpus: one(host.gpus, at, (gpu) => ({ ...gpu, listUnknown: 'it could not be read' })) }),
  'an index is not known': (host, at) => ({ ...host, gpus: one(host.gpus, at, (gpu) => ({ ...gpu, index: null })) }),
  'a minor number is not known': (host, at) => ({ ...host, gpus: one(host.gpus, at, (gpu) => ({ ...gpu, minorNumber: null })) }),
  'a MIG mode is not read': (host, at) => ({ ...host, gpus: one(host.gpus, at, (gpu) => ({ ...gpu, mig: 'error' })) }),
  'a display is not read': (host, at) => ({ ...host, gpus: one(host.gpus, at, (gpu) => ({ ...gpu, display: 'error' })) }),
  'the memory is not read': (host, at) => ({ ...host, gpus: one(host.gpus, at, (gpu) => ({ ...gpu, unexplainedMiB: null })) }),
  'the engine fails': (host) => ({ ...host, trouble: { ...host.trouble, engine: 'failed' } }),
  'an inspect fails': (host, at) => ({ ...host, containers: one(host.containers, at, ({ id, name, state }) => ({ inspected: false, id, name, state, why: 'timeout' })) }),
  'an answer fails': (host) => ({ ...host, oddAnswers: host.processes.flatMap(({ cgroups }) => (cgroups ?? []).flatMap((path) => path.match(/[0-9a-f]{64}/g) ?? [])).map((id) => ({ id, answer: 'failed' })) }),
  '/proc fails': (host) => ({ ...host, trouble: { ...host.trouble, proc: 'failed' } }),
  '/proc hides open files': (host) => ({ ...host, trouble: { ...host.trouble, proc: host.trouble.proc === 'failed' ? 'failed' : 'partial' } }),
  'a process is hidden': (host, at) => ({ ...host, processes: one(host.processes, at, (each) => ({ ...each, presence: 'unreadable' })) }),
  'a process is not looked at': (host, at) => ({ ...host, processes: one(host.processes, at, (each) => ({ ...each, presence: each.presence === 'present' ? 'unread' : each.presence })) }),
  'a cgroup is not read': (host, at) => ({ ...host, processes: one(host.processes, at, (each) => ({ ...each, cgroups: null })) }),
  'a pid namespace is not read': (host, at) => ({ ...host, processes: one(host.processes, at, (each) => ({ ...each, pidNamespace: 'unknown' })) }),
};

function one<T>(all: readonly T[], at: number, change: (each: T) => T): readonly T[] {
  return all.map((each, n) => (n === at % all.length ? change(each) : each));
}

const worldAndPlace: Arbitrary<readonly [World, number]> = fc.tuple(world, fc.nat(15));

describe('nothing is done to what was not observed', () => {
  it.each(Object.entries(VEILS))('seeing less never adds an act: %s', (_, veil) => {
    fc.assert(fc.property(worldAndPlace, ([each, at]) => {
      const veiled = veil(each.host, at);
      // Of the others the numbers are known: what a number could not name before, it cannot name now.
      fc.pre(veiled.trouble.driver !== 'partial' || each.host.gpus[0]?.index !== null);
      // What the engine answers for a process's sake may contradict its list; who does not see the process does not ask.
      const comparable = (act: string): boolean => each.host.oddAnswers.length === 0 || !act.startsWith('release');
      const seenLess = acts({ ...each, host: veiled }, veiled).filter(comparable);
      expect(acts(each)).toEqual(expect.arrayContaining([...seenLess]));
    }), runs(250));
  });

  it('without a source nothing is done that needs it', () => {
    fc.assert(fc.property(world, (each) => {
      expect(acts(withTrouble(each, { engine: 'failed' }))).toEqual([]);
      expect(acts(withTrouble(each, { driver: 'failed' })).filter((act) => !act.startsWith('release'))).toEqual([]);
      expect(acts(withTrouble(each, { proc: 'failed' })).filter((act) => !act.startsWith('release'))).toEqual([]);
    }), runs(300));
  });

  it('a second look that failed in any part confirms nobody', () => {
    fc.assert(fc.property(world, fc.constantFrom<Partial<Trouble>>({ listed: 'failed' }, { listed: 'unattributed' }, { shims: 'failed' }, { shims: 'partial' }, { engine: 'failed' }, { proc: 'failed' }), (each, trouble) => {
      expect(acts(each, withTrouble(each, trouble).host).filter((act) => act.startsWith('kill'))).toEqual([]);
    }), runs(300));
  });

  it('a second look that lacks one device confirms nobody on it', () => {
    fc.assert(fc.property(worldAndPlace, ([each, at]) => {
      const gpu = at % Math.max(1, each.host.gpus.length);
      fc.pre(each.host.gpus[gpu]?.listUnknown === null && (gpu > 0 || each.host.trouble.driver === 'none'));
      const onIt = each.host.processes.filter(({ rows }) => rows.some((row) => row.gpu === gpu)).map(({ pid }) => `kill ${pid}`);
      for (const act of acts(each, withTrouble(each, { listed: gpu }).host)) expect(onIt).not.toContain(act);
    }), runs(400));
  });

  it('a container that could not be inspected blocks the reset of every device, and is named', () => {
    fc.assert(fc.property(world, (each) => {
      const first = judged(each);
      const unread = first.snapshot.engine.state === 'failed' ? [] : first.snapshot.engine.value.containers.filter(({ inspected }) => !inspected);
      fc.pre(unread.length > 0);
      for (const decision of resets(first, each, { orphanEnded: true, ghosts: ghostsOf(each.host) })) {
        expect(decision.verdict).not.toBe('act');
        if (decision.verdict === 'refuse') expect(blockersIn(decision).map(({ kind }) => kind)).toContain('uninspected-container');
      }
    }), runs(30));
  });

  it('an allocation is released only where the design says so, and everywhere there unless the container is protected', () => {
    fc.assert(fc.property(world, (each) => {
      const first = judged(each);
      const decided = releases(first, each.config, each.now);
      const open = each.history.allocations.filter(({ releasedAt }) => releasedAt === null);
      expect(decided.map(({ target }) => target.containerId)).toEqual(open.map(({ containerId }) => containerId));
      decided.forEach(({ verdict, reason }, n) => {
        const allocation = open[n];
        if (allocation === undefined) throw new Error('a decision about no allocation');
        const may = mayRelease({ ...each, snapshot: snapshotOf(each.host, each.now) }, allocation);
        if (verdict === 'act') expect({ may, reason }).toEqual({ may: true, reason });
        else if (may) expect(['protected', 'first-pass']).toContain(reason);
      });
    }), runs(1500));
  });

  it('a host without GPUs is a host on which nothing is ended or reset', () => {
    fc.assert(fc.property(world, hostState(), (each, host) => {
      const bare = { ...each, host: { ...host, gpus: [], processes: host.processes.map((process) => ({ ...process, rows: [] })) } };
      expect(acts(bare).filter((act) => !act.startsWith('release'))).toEqual([]);
    }), runs(100));
  });
});
