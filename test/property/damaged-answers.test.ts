import { existsSync, readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import type { DriverView, Gpu } from '../../src/model/device.ts';
import { seen, type Observed } from '../../src/model/observation.ts';
import { parsePmon } from '../../src/observe/nvidia-smi/pmon.ts';
import { DRIVERS } from '../hostsim/new-world.ts';
import { tried } from '../tally.ts';
import { breaking, changing, damage, type Damage, HUGE, huge, isChanging } from './damage.ts';
import { GONE_KNOWN, GONE_STRANGE, runs, type World, world } from './generate.ts';
import type { GpuState, HostState, ProcessState } from './host.ts';
import { judged, kills, releases, resets, secondLook } from './rules.ts';
import { answersAround, answersOf, type AnswerName, ANSWERS, type Damaged, lookWith, readDamaged, type SmiAnswer, type SmiHost, snapshotWith, undamaged } from './smi-answers.ts';

/*
 * nvidia-smi's answers, damaged in every way that occurred to us, one or several of a round at once, read by the real
 * readers and judged by the real rules: nothing may be done that the undamaged answers would not have led to.
 */

/** What real calls that failed printed. */
const RECORDED = recorded();

/** One answer of a round is damaged in any way; others, besides, only so that no good text comes of it. */
interface Round {
  readonly first: { readonly answer: AnswerName; readonly damage: Damage };
  readonly more: readonly { readonly answer: AnswerName; readonly damage: Damage }[];
  /** The answer to the second look is damaged as well. */
  readonly lasting: boolean;
  readonly orphanEnded: boolean;
}

const answerName = fc.oneof({ weight: 3, arbitrary: fc.constant<AnswerName>('xml') }, { weight: 4, arbitrary: fc.constantFrom(...ANSWERS) });
const round: fc.Arbitrary<Round> = fc.record({
  first: fc.record({ answer: answerName, damage: fc.oneof(breaking, changing, changing) }),
  more: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.array(fc.record({ answer: answerName, damage: breaking }), { minLength: 1, maxLength: 3 }) }),
  lasting: fc.boolean(),
  orphanEnded: fc.boolean(),
});

/** Their rows would agree again if one lost by damage what the other lost by a cut between two lines. */
function agreesByChance({ first, more }: Round): boolean {
  return isChanging(first.damage) && more.some(({ damage: { kind } }) => kind === 'cut' || kind === 'another-answer');
}

/** What one round led to, in words that two rounds can be compared by. */
interface Acts {
  readonly kills: readonly string[];
  readonly resets: readonly string[];
  readonly releases: readonly string[];
}

interface Case {
  readonly world: World;
  readonly smi: SmiHost;
}

function actsOn({ world: { host, history, config, now } }: Case, { driver, listed }: Awaited<ReturnType<typeof readDamaged>>, orphanEnded: boolean): Acts {
  const facts = { host, history, config, now };
  const first = judged(facts, snapshotWith(host, driver, now));
  const second = lookWith(secondLook(first, host, config.orphans.confirmAfterMs), listed);
  const killed = kills(first, second, config);
  const ghosts = killed.flatMap(({ reason, target }) => (reason === 'ghost' ? [target.pid] : []));
  return {
    kills: killed.flatMap(({ verdict, target: { pid, identity } }) => (verdict === 'act' ? [`${pid} ${identity?.startTicks}`] : [])),
    resets: resets(first, facts, { orphanEnded, ghosts }).flatMap(({ verdict, target: { uuid, pciBusId } }) => (verdict === 'act' ? [`${uuid} ${pciBusId}`] : [])),
    releases: releases(first, config, now).flatMap(({ verdict, target: { containerId, gpuUuid, startedAt } }) => (verdict === 'act' ? [`${containerId} ${gpuUuid} ${startedAt}`] : [])),
  };
}

function beyond(damaged: Acts, whole: Acts): Acts {
  const further = (key: keyof Acts): readonly string[] => damaged[key].filter((each) => !whole[key].includes(each));
  return { kills: further('kills'), resets: further('resets'), releases: further('releases') };
}

const NOTHING: Acts = { kills: [], resets: [], releases: [] };
const isNothing = (acts: Acts): boolean => Object.values(acts).every((each: readonly string[]) => each.length === 0);

/**
 * What only `-q -x` says, so that nobody can hold it against anything: a good text in the place of another is believed. The
 * reset itself stands against most of it (nvidia-smi refuses the display's GPU and one in use), and before a reset all of it
 * is read once more.
 */
function withSoleWitness(driver: Observed<DriverView>, truth: Observed<DriverView>): Observed<DriverView> {
  if (driver.state === 'failed') return driver;
  const gpus = driver.value.gpus.map((gpu) => {
    const real = seen(truth)?.gpus.find(({ uuid, pciBusId }) => uuid === gpu.uuid && pciBusId === gpu.pciBusId);
    return real === undefined ? gpu : { ...gpu, ...soleWitness(real), processes: typed(gpu.processes, real.processes) };
  });
  return { ...driver, value: { ...driver.value, gpus } };
}

function soleWitness({ displayActive, recovery, repairPending, usedMiB, minorNumber, migCurrent, migPending, migDevices, faults }: Gpu): Partial<Gpu> {
  // Of its mode, the MIG devices of -L are a second witness.
  return { displayActive, recovery, repairPending, usedMiB, minorNumber, migPending, faults, ...(migDevices.length === 0 ? { migCurrent } : {}) };
}

/** Who computes there, two answers say; who only draws, and of what type and with how much memory each is, one. */
function typed(list: Gpu['processes'], real: Gpu['processes']): Gpu['processes'] {
  // That a list could not be read, one answer says as well: the other shows it empty.
  if (list.state === 'unknown' || real.state === 'unknown') return real.state === 'unknown' ? real : list;
  const drawing = real.processes.filter(({ pid, type }) => !type.includes('C') && !list.processes.some((row) => row.pid === pid));
  return { ...list, processes: [...list.processes.map((row) => ({ ...row, ...pick(real.processes.find(({ pid }) => pid === row.pid)) })), ...drawing] };
}

function pick(row: { readonly type: 'C' | 'G' | 'C+G' | 'M+C' | 'M+C+G' | 'other'; readonly usedMiB: number | null } | undefined): object {
  return row === undefined ? {} : { type: row.type, usedMiB: row.usedMiB };
}

const tally = { inputs: 0, 'worlds with an act': 0, 'rounds with an act': 0, 'refused whole': 0, 'read in part': 0, 'read whole': 0, 'believed, as only -q -x says it': 0 };
afterAll(() => {
  tried('damaged inputs', tally.inputs);
  if (process.env['PROPERTY_RUNS'] !== undefined) console.log(JSON.stringify(tally));
});

/** Nothing that nvidia-smi says may keep a pass waiting; of work, as a busy machine takes its own time. */
const MOST_WORK_MS = 5000;

function workMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

async function expectNoFurtherAct(one: Case, rounds: readonly Round[]): Promise<void> {
  const whole = await readDamaged(one.smi, undamaged);
  const truth = new Map([true, false].map((ended) => [ended, actsOn(one, whole, ended)] as const));
  if (!isNothing(truth.get(true) ?? NOTHING)) tally['worlds with an act'] += 1;
  for (const each of rounds) {
    const { damaged, changed } = damager(one.smi, each);
    if (agreesByChance(each)) continue;
    const began = workMs();
    const reading = await readDamaged(one.smi, damaged);
    expect(workMs() - began).toBeLessThan(MOST_WORK_MS);
    if (!changed()) continue;
    tally.inputs += 1;
    tally[reading.driver.state === 'failed' ? 'refused whole' : reading.driver.state === 'partial' ? 'read in part' : 'read whole'] += 1;
    const both = { driver: reading.driver, listed: each.lasting ? reading.listed : whole.listed };
    const acts = actsOn(one, both, each.orphanEnded);
    if (!isNothing(acts)) tally['rounds with an act'] += 1;
    const further = beyond(acts, truth.get(each.orphanEnded) ?? NOTHING);
    if (isNothing(further)) continue;
    tally['believed, as only -q -x says it'] += 1;
    const told = JSON.stringify({ each, differs: ANSWERS.flatMap((name) => difference(one.smi.answers[name], damaged(name, one.smi.answers[name]))) });
    expect(isChanging(each.first.damage) ? NOTHING : further, told).toEqual(NOTHING);
    const believed = actsOn(one, { ...both, driver: withSoleWitness(both.driver, whole.driver) }, each.orphanEnded);
    expect(beyond(believed, truth.get(each.orphanEnded) ?? NOTHING), told).toEqual(NOTHING);
  }
}

/** Where the texts begin to differ: what a counterexample is read by. */
function difference({ stdout: was }: SmiAnswer, { stdout: is }: SmiAnswer): readonly string[] {
  if (was === is) return [];
  let from = 0;
  while (was[from] === is[from]) from += 1;
  return [`${JSON.stringify(was.slice(Math.max(0, from - 60), from + 60))} became ${JSON.stringify(is.slice(Math.max(0, from - 60), from + 60))}`];
}

/** The damage of one round, and whether any answer came out otherwise than it went in. */
function damager(smi: SmiHost, { first, more: further }: Round): { readonly damaged: Damaged; readonly changed: () => boolean } {
  let changed = false;
  const others = [...Object.values(smi.answers), ...RECORDED];
  const damaged: Damaged = (name, answer) => {
    const result = [first, ...further].filter((each) => each.answer === name).reduce<SmiAnswer>((text, each) => damage(text, each.damage, others), answer);
    changed ||= result.stdout !== answer.stdout || result.exitCode !== answer.exitCode;
    return result;
  };
  return { damaged, changed: () => changed };
}

/** A host whose driver and short list are what nvidia-smi's answers make of them. */
function readable(host: HostState): HostState {
  const { trouble } = host;
  return {
    ...host, trouble: { ...trouble, driver: 'none', listed: 'none' },
    processes: host.processes.map((process): ProcessState => (process.presence === 'unread' ? { ...process, presence: 'unreadable' } : process)),
  };
}

/** A host of which every board wants its reset, and nothing stands against it but what nvidia-smi says. */
function ripe(each: World): World {
  const { host, history } = each;
  const gpus = host.gpus.slice(0, 3).map((gpu): GpuState => ({ ...gpu, minorNumber: gpu.minorNumber ?? 9, mig: 'no', migPending: 'no', migDevices: [], display: 'no', recovery: { kind: 'value', value: 'reset' }, listUnknown: null, faults: [] }));
  const processes = host.processes.map((process): ProcessState => ({ ...process, holds: [], presence: 'present' }));
  return {
    ...each, history: { ...history, engineId: host.engine.engineId, resets: [], quarantined: [] },
    host: { ...host, gpus, processes, containers: [], shims: [], trouble: { ...host.trouble, proc: 'none', engine: 'none' } },
  };
}

describe('answers of nvidia-smi that were damaged on their way', () => {
  it('lead to no act on a generated host that the whole ones would not have led to', async () => {
    await fc.assert(fc.asyncProperty(world, fc.boolean(), fc.constantFrom(...DRIVERS), fc.array(round, { minLength: 8, maxLength: 12 }), async (some, isRipe, driver, rounds) => {
      const each = isRipe ? ripe(some) : some;
      const host = readable(each.host);
      await expectNoFurtherAct({ world: { ...each, host }, smi: answersOf(host, driver) }, rounds);
    }), runs(150));
    expect(tally['rounds with an act']).toBeGreaterThan(10);
  }, 3_600_000);

  it.skipIf(CAPTURES().length === 0)('nor on the machines of real documents', async () => {
    const machines = CAPTURES().flatMap(({ name, text }) => answersAround(text) === null ? [] : [{ name, text }]);
    await fc.assert(fc.asyncProperty(fc.constantFrom(...machines), world, fc.array(round, { minLength: 8, maxLength: 12 }), async ({ text }, each, rounds) => {
      const smi = answersAround(text);
      if (smi === null) throw new Error('it was one');
      await expectNoFurtherAct({ world: { ...each, host: machineOf(smi.gpus, readable(each.host)) }, smi }, rounds);
    }), runs(25));
  }, 3_600_000);

  it('keep nobody waiting and break nothing, however large they are', async () => {
    await fc.assert(fc.asyncProperty(world, fc.constantFrom(...DRIVERS), fc.array(fc.record({ answer: answerName, kind: fc.constantFrom(...HUGE), size: fc.constantFrom(1000, 20_000, 100_000), at: fc.nat(9999) }), { minLength: 1, maxLength: 3 }), async (each, driver, damages) => {
      const host = readable(each.host);
      const one = { world: { ...each, host }, smi: answersOf(host, driver) };
      const whole = await readDamaged(one.smi, undamaged);
      const began = workMs();
      const reading = await readDamaged(one.smi, (name, answer) => damages.filter(({ answer: its }) => its === name).slice(0, 1).reduce<SmiAnswer>((text, { kind, size, at }) => huge(text, kind, size, at), answer));
      expect(workMs() - began).toBeLessThan(MOST_WORK_MS);
      tally.inputs += 1;
      expect(beyond(actsOn(one, reading, true), actsOn(one, whole, true))).toEqual(NOTHING);
    }), runs(30));
  }, 3_600_000);
});

describe('an answer of pmon that was damaged on its way', () => {
  it('says nothing of a process that the whole one does not say, or nothing at all', () => {
    fc.assert(fc.property(world, fc.constantFrom(...DRIVERS), fc.array(breaking, { minLength: 5, maxLength: 10 }), fc.array(changing, { minLength: 2, maxLength: 4 }), ({ host }, driver, damages, changes) => {
      const { pmon, answers } = answersOf(readable(host), driver);
      const whole = seen(parsePmon(pmon.stdout, pmon.exitCode)) ?? [];
      for (const each of damages) {
        const { stdout, exitCode } = damage(pmon, each, Object.values(answers));
        tally.inputs += 1;
        const rows = seen(parsePmon(stdout, exitCode)) ?? [];
        expect({ each, rows: rows.filter((row) => row.smPercent !== null && !whole.some((other) => other.pid === row.pid && other.gpuIndex === row.gpuIndex && other.smPercent === row.smPercent)) }).toEqual({ each, rows: [] });
      }
      // One good text in the place of another: it is read, or it is not.
      for (const each of changes) {
        tally.inputs += 1;
        const { stdout, exitCode } = damage(pmon, each, []);
        expect(() => parsePmon(stdout, exitCode)).not.toThrow();
      }
    }), runs(60));
  }, 3_600_000);
});

/** A generated host's life on a real machine's boards: its processes are orphans, containers' and others'. */
function machineOf(gpus: readonly Gpu[], host: HostState): HostState {
  const pids = [...new Set(gpus.flatMap(({ processes }) => (processes.state === 'known' ? processes.processes.map(({ pid }) => pid) : [])))];
  const listed = pids.map((pid, n): ProcessState => ({
    pid, startTicks: 5000 + n, runState: 'S', uid: 0, command: 'python3', title: 'train', pidNamespace: 'host', presence: 'present', rows: [], holds: [],
    cgroups: n % 4 === 3 ? ['/system.slice/other.service'] : [`/docker/${[...GONE_KNOWN, ...GONE_STRANGE][n % 5]}`],
  }));
  const boards = gpus.map(({ uuid, pciBusId, minorNumber }): Partial<GpuState> => ({ uuid, pciBusId, minorNumber }));
  return { ...host, gpus: boards as readonly GpuState[], containers: [], shims: [], processes: listed };
}

function CAPTURES(): readonly { readonly name: string; readonly text: string }[] {
  const folder = new URL('../../../shared/captures/xml/', import.meta.url);
  if (!existsSync(folder)) return [];
  return readdirSync(folder).toSorted().map((name) => ({ name, text: readFileSync(new URL(name, folder), 'utf8') }));
}

function recorded(): readonly SmiAnswer[] {
  const folder = new URL('../../../shared/captures/errors/', import.meta.url);
  if (!existsSync(folder)) return [];
  return readdirSync(folder).toSorted().map((name) => {
    const text = readFileSync(new URL(name, folder), 'utf8');
    return { stdout: /# --- stdout ---\n([^]*?)# --- stderr ---/.exec(text)?.[1] ?? text.replace(/^#.*\n?/gm, ''), exitCode: Number(/^# exit: (\d+)$/m.exec(text)?.[1] ?? 0) };
  });
}
