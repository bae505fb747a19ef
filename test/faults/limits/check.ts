import { DatabaseSync } from 'node:sqlite';
import { join } from 'node:path';
import type { GpuctlLine } from '../../hostsim/gpuctl-call.ts';
import { containerProblems, endProblems, eventProblems, eventsIn, type Expected, inFlight, type Run } from '../check.ts';
import { isAlive, linesOf } from '../stage.ts';
import type { LimitStage } from './stage.ts';

/** What a case about a limit may differ in from the ordinary, or promises. */
export interface LimitExpected extends Pick<Expected, 'exits' | 'nextExits' | 'blindFile' | 'brokenLines'> {
  /** What the disturbed pass tells of the container, as `ACTION OUTCOME`; not given: whatever is true. */
  readonly says?: readonly string[];
  /** The engine said that it did what it did not, so it is done, and told, once more. */
  readonly lied?: boolean;
  /** How many notices could not be delivered, in the disturbed pass and in the next one; default: none. */
  readonly undelivered?: readonly [number, number];
  /** What else must be so, right after the disturbed pass and after the next one. */
  readonly between?: (stage: LimitStage) => readonly string[];
  readonly finally?: (stage: LimitStage) => readonly string[];
}

/** All that one pass changed and told. */
export interface Trace {
  readonly run: Run;
  readonly lines: readonly string[];
  /** `METHOD path` of whatever was no question. */
  readonly writes: readonly string[];
  /** The container's afterwards. */
  readonly state: string | null;
}

export interface LimitOutcome {
  readonly stage: LimitStage;
  readonly disturbed: Trace;
  readonly next: Trace;
  readonly expected: LimitExpected;
  /** What `between` found. */
  readonly found: readonly string[];
}

const DONE = { due: 'container.runtime.stopped', leftover: 'container.removed' } as const;
const VERB = { due: 'stop', leftover: 'remove' } as const;

/** Every way in which the outcome is not as it must be; empty: it is. */
export async function limitProblems(outcome: LimitOutcome): Promise<readonly string[]> {
  const { stage, disturbed, next, expected, found } = outcome;
  return [
    ...endProblems({ disturbed: disturbed.run, next: next.run, expected }),
    ...await containerProblems(stage),
    ...stage.ground.live.filter((each) => !isAlive(each)).map(({ pid }) => `the process ${pid} of a live container is gone`),
    ...[disturbed, next].flatMap(({ writes }) => writeProblems(stage, writes)),
    ...eventProblems(linesOf(stage), expected),
    ...(expected.blindFile === true ? [] : toldProblems(outcome)),
    ...(stage.kind === 'due' || stage.kind === 'leftover' ? endedProblems(outcome, stage.kind) : warnedProblems(outcome)),
    ...openActs(stage), ...found, ...expected.finally?.(stage) ?? [],
  ];
}

/** Nothing is asked of any other container, nothing by force, and nothing twice in one pass. */
function writeProblems({ id, kind }: LimitStage, writes: readonly string[]): readonly string[] {
  const may = { due: 'POST', leftover: 'DELETE', fresh: 'PUT', quiet: '-' }[kind];
  return [
    ...writes.filter((write) => !write.includes(`/containers/${id}`)).map((write) => `another container: ${write}`),
    ...writes.filter((write) => !write.startsWith(may) && !(kind === 'due' && write.startsWith('PUT'))).map((write) => `not of this pass: ${write}`),
    ...writes.filter((write) => write.startsWith('DELETE') && !write.endsWith('?force=false&v=false')).map((write) => `by force: ${write}`),
    ...(writes.filter((write) => write.startsWith(may)).length > 1 ? [`twice in one pass: ${writes.join(', ')}`] : []),
  ];
}

function ofContainer({ id }: LimitStage, { lines }: Trace): readonly GpuctlLine[] {
  return eventsIn(lines).filter((event) => event['container.id'] === id);
}

/** What a pass tells of the container itself, not of those who were to be told. */
function sayings(stage: LimitStage, trace: Trace): readonly string[] {
  return ofContainer(stage, trace).filter((event) => String(event['event.action']).startsWith('container.')).map((event) => `${String(event['event.action'])} ${String(event['event.outcome'] ?? '-')}`);
}

function toldProblems({ stage, disturbed, next, expected }: LimitOutcome): readonly string[] {
  const says = sayings(stage, disturbed);
  const failed = [disturbed, next].map((trace) => ofContainer(stage, trace).filter((event) => event['event.action'] === 'notify.failed').map((event) => String(event['message'])));
  const failures = failed.map(({ length }) => length);
  const wanted = expected.undelivered ?? [0, 0];
  return [
    ...(expected.says === undefined || says.join() === expected.says.join() ? [] : [`the disturbed pass said ${says.join() || 'nothing'}, not ${expected.says.join() || 'nothing'}`]),
    ...(failures.join() === wanted.join() ? [] : [`${failures.join()} notices were not delivered, not ${wanted.join()}: ${failed.flat().join('; ')}`]),
  ];
}

/** After the next pass it is done; told once where it was done once, and whoever failed says so by its exit. */
function endedProblems({ stage, disturbed, next, expected }: LimitOutcome, kind: 'due' | 'leftover'): readonly string[] {
  const isOver = ({ state }: Trace): boolean => (kind === 'due' ? state === 'exited' : state === null);
  const success = `${DONE[kind]} success`;
  const [early, late] = [sayings(stage, disturbed), sayings(stage, next)];
  const successes = [...early, ...late].filter((said) => said === success).length;
  const failed = early.includes(`${DONE[kind]} failure`);
  const recovered = eventsIn(next.lines).flatMap(inFlight).filter(({ verb }) => verb === VERB[kind]).length;
  const most = expected.lied === true ? 2 : 1;
  return [
    ...(isOver(next) ? [] : [`the container is ${next.state ?? 'gone'}`]),
    ...(early.includes(success) && expected.lied !== true && !isOver(disturbed) ? ['it is said to be done, and is not'] : []),
    ...(isOver(disturbed) && next.writes.length > 0 ? [`it was done, and is done again: ${next.writes.join()}`] : []),
    ...(expected.blindFile === true ? [] : [
      ...(successes > most ? [`told as done ${successes} times`] : []),
      ...(successes + recovered === 0 && (early.length === 0 || next.writes.length > 0) ? ['nobody was told that it was done'] : []),
      ...(failed && disturbed.run.exitCode !== 4 ? [`an act failed, and the exit is ${disturbed.run.exitCode}`] : []),
      ...(failed && isOver(disturbed) && disturbed.writes.length > 0 && expected.says === undefined ? ['it is said to have failed, and is done'] : []),
    ]),
  ];
}

/** One warning a pass, in their order, each once, and nothing is stopped. */
function warnedProblems({ stage, disturbed, next, expected }: LimitOutcome): readonly string[] {
  const said = [disturbed, next].flatMap((trace) => sayings(stage, trace));
  const all = stage.kind === 'quiet' ? [] : ['container.runtime.warned success', 'container.runtime.final success'];
  const isPrefix = said.length <= all.length && said.every((each, at) => each === all[at]);
  return [
    ...(next.state === 'running' ? [] : [`the container is ${next.state ?? 'gone'}`]),
    ...(isPrefix && (said.length > 0 || all.length === 0 || expected.blindFile === true) ? [] : [`said: ${said.join() || 'nothing'}`]),
  ];
}

/** Every act has an end, or was told as having none. */
function openActs({ host }: LimitStage): readonly string[] {
  const db = new DatabaseSync(join(host.stateDir, 'ledger.db'), { readOnly: true });
  const open = db.prepare('SELECT number, verb FROM acts WHERE ended_at IS NULL AND reported_by IS NULL').all();
  db.close();
  return open.map(({ number, verb }) => `the act ${String(number)} (${String(verb)}) has no end`);
}
