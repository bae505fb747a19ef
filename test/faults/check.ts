import { Ajv2020 } from 'ajv/dist/2020.js';
import { eventSchema } from '../../src/record/event-schema.ts';
import type { GpuctlLine, GpuctlResult } from '../hostsim/gpuctl-call.ts';
import { isAlive, linesOf, type Stage } from './stage.ts';

/** What one disturbed pass and the one after it came to. */
export interface Outcome {
  readonly stage: Stage;
  readonly disturbed: Run;
  /** The next pass, without the fault. */
  readonly next: Run;
  readonly expected: Expected;
}

export interface Run extends GpuctlResult { readonly ms: number }

/** What a case may differ in from the ordinary. */
export interface Expected {
  /** Exit codes of the disturbed pass; default: any documented one but 70 and 2. Null: it was killed. */
  readonly exits?: readonly (number | null)[];
  /** The reset was tried in the disturbed pass and counts: the cool-down keeps the next one from it. */
  readonly resetCounts?: boolean;
  /** Events of the disturbed pass are not where they belong, so they prove nothing. */
  readonly blindFile?: boolean;
  /** The ledger was begun anew: what was in it is not known any more. */
  readonly newLedger?: boolean;
  /** Lines that a full disk or a kill cut off. */
  readonly brokenLines?: number;
  /** The next pass may end with these; default 0. */
  readonly nextExits?: readonly number[];
}

const DOCUMENTED: readonly (number | null)[] = [0, 1, 3, 4, 75];
/** Several times what an idle machine takes, and a tenth of what a pass may. */
const WITHIN_MS = 60_000;

const isPublished = new Ajv2020({ strict: false }).compile(eventSchema());

/** Every way in which the outcome of `release-stale` is not as it must be; empty: it is. */
export async function problemsOf(outcome: Outcome): Promise<readonly string[]> {
  const { stage, expected } = outcome;
  return [...await anyProblems(outcome), ...leftToDo(outcome), ...(expected.blindFile === true ? [] : untold(eventsIn(linesOf(stage)), expected))];
}

/** The same of what holds for every job. */
export async function anyProblems(outcome: Outcome): Promise<readonly string[]> {
  const { stage, expected } = outcome;
  return [...endProblems(outcome), ...hostProblems(outcome), ...await containerProblems(stage), ...eventProblems(linesOf(stage), expected)];
}

export function endProblems({ disturbed, next, expected }: Pick<Outcome, 'disturbed' | 'next' | 'expected'>): readonly string[] {
  const problems: string[] = [];
  const exits = expected.exits ?? DOCUMENTED;
  if (!exits.includes(disturbed.exitCode)) problems.push(`the disturbed pass ended with ${disturbed.exitCode ?? disturbed.signal}: ${disturbed.stderr.slice(-300)}`);
  if (disturbed.exitCode !== null && disturbed.exitCode > 1 && disturbed.stderr + disturbed.stdout === '') problems.push(`it ended with ${disturbed.exitCode} and said nothing`);
  if (/\n\s+at /.test(disturbed.stderr)) problems.push(`a stack is shown: ${disturbed.stderr.slice(-300)}`);
  for (const [name, { ms }] of [['disturbed', disturbed], ['next', next]] as const) if (ms > WITHIN_MS) problems.push(`the ${name} pass took ${Math.round(ms)} ms`);
  const nextExits = expected.nextExits ?? (expected.resetCounts === true ? [0, 1] : [0]);
  if (!nextExits.includes(next.exitCode ?? -1)) problems.push(`the next pass ended with ${next.exitCode ?? next.signal}: ${(next.stderr + next.stdout).slice(-600)}`);
  return problems;
}

/** Nothing but the orphan was ended, nothing but the board that asks was reset. */
function hostProblems({ stage }: Outcome): readonly string[] {
  const { ground, stray, host, resetUuid } = stage;
  const dead = ground.live.filter((each) => !isAlive(each)).map(({ pid }) => `the process ${pid} of a live container is gone`);
  const wrong = host.world().resets.filter(({ gpu }) => gpu !== resetUuid).map(({ gpu }) => `${gpu} was reset`);
  return [...dead, ...wrong, ...(stray.isAlive() ? [] : ['the stray is gone'])];
}

/** The ground's own containers are as they were laid. */
export async function containerProblems({ ground: { engine, liveIds, stale } }: Pick<Stage, 'ground'>): Promise<readonly string[]> {
  const states = await Promise.all([...liveIds, stale].map(async (id) => (await engine.inspect(id)).State.Status));
  return states.join() === 'running,running,exited' ? [] : [`the containers are ${states.join()}`];
}

/** After the next pass all is done: once. */
function leftToDo({ stage, expected }: Outcome): readonly string[] {
  const resets = stage.host.world().resets.length;
  const few = expected.resetCounts === true ? 0 : 1;
  return [
    ...(stage.orphan.isAlive() ? ['the orphan is still there'] : []),
    ...(resets < few || resets > 1 ? [`the board was reset ${resets} times`] : []),
  ];
}

/** Lines that are torn, of another form than is published, told twice, or without their end. */
export function eventProblems(lines: readonly string[], { brokenLines = 0 }: Pick<Expected, 'brokenLines'>): readonly string[] {
  const events = eventsIn(lines);
  const broken = lines.length - events.length;
  return [
    ...(broken > brokenLines ? [`${broken} lines are no JSON: ${lines.find((line) => parsed(line).length === 0)?.slice(0, 200)}`] : []),
    ...events.flatMap((event) => (isPublished(event) ? [] : [`not of the published form: ${JSON.stringify(event).slice(0, 200)} ${JSON.stringify(isPublished.errors).slice(0, 200)}`])),
    ...twice(events),
    ...openEnds(events),
  ];
}

/** Those lines that are whole. */
export function eventsIn(lines: readonly string[]): readonly GpuctlLine[] {
  return lines.flatMap((line) => parsed(line));
}

function parsed(line: string): readonly GpuctlLine[] {
  try {
    return [JSON.parse(line) as GpuctlLine];
  } catch {
    return [];
  }
}

/** One pass tells one act once; an act is told once, as ended or as having been in flight. */
function twice(events: readonly GpuctlLine[]): readonly string[] {
  const keys = events.map((event) => ['gpuctl.pass', 'event.action', 'event.reason', 'container.id', 'process.pid', 'gpu.uuid', 'gpuctl.change', 'gpuctl.cut_off', 'gpuctl.source'].map((name) => String(event[name] ?? '')).concat(event['event.action'] === 'pass.recovered' ? [JSON.stringify(event['gpuctl.acts'] ?? event['gpuctl.resets'] ?? '')] : event['event.action'] === 'notify.failed' ? [String(event['message'])] : []).join(' '));
  return [...repeated(keys).map((key) => `written twice: ${key}`), ...repeated(actsIn(events)).map((act) => `told twice: the act ${act}`)];
}

function actsIn(events: readonly GpuctlLine[]): readonly string[] {
  return events.flatMap((event) => [event['gpuctl.act'], ...inFlight(event).map(({ act }) => act)]).filter((act) => typeof act === 'string');
}

/** The acts that an event tells of as having no end. */
export function inFlight(event: GpuctlLine): readonly Readonly<Record<string, unknown>>[] {
  return (event['gpuctl.acts'] ?? []) as readonly Readonly<Record<string, unknown>>[];
}

function repeated(keys: readonly string[]): readonly string[] {
  return [...new Set(keys.filter((key, at) => keys.indexOf(key) !== at))];
}

/** Whatever began has an end, or a later pass said that it has none. */
function openEnds(events: readonly GpuctlLine[]): readonly string[] {
  const of = (action: string): readonly string[] => events.filter((event) => event['event.action'] === action).map((event) => String(event['gpuctl.pass']));
  const ended = new Set([...of('pass.ended'), ...events.map((event) => String(event['gpuctl.cut_off']))]);
  return of('pass.started').filter((pass) => !ended.has(pass)).map((pass) => `the pass ${pass} has no end`);
}

/** What happened to the host is told: as an event of its own, or as having been in flight. */
function untold(events: readonly GpuctlLine[], { resetCounts, newLedger }: Expected): readonly string[] {
  const told = (action: string, verb: string): boolean => events.some((event) => event['event.action'] === action || inFlight(event).some((act) => act['verb'] === verb));
  const must: readonly (readonly [string, string])[] = [['gpu.orphan.ended', 'kill'], ...(resetCounts === true ? [] : [['gpu.reset.done', 'reset'] as const]), ...(newLedger === true ? [] : [['gpu.allocation.released', 'release'] as const])];
  return must.filter(([action, verb]) => !told(action, verb)).map(([action]) => `nobody was told of ${action}`);
}
