import { isoTime } from '../model/time.ts';
import { counted } from '../model/text.ts';
import { actName } from './carry-out.ts';
import type { Pass } from './pass.ts';
import type { InFlightAct, UntoldPass } from './ports.ts';
import { countInFlight } from './reset-count.ts';

/** So many targets fit into one line with every id in full, whatever the names of their processes are. */
const ACTS_A_LINE = 6;

/** An earlier pass that was cut off, with what it had begun. */
interface CutOff {
  readonly id: string;
  /** Null: the ledger forgot the pass and still has its acts. */
  readonly pass: UntoldPass | null;
  readonly acts: readonly InFlightAct[];
}

/**
 * Tells of earlier passes that did not come to their end, and of the acts that were in flight. First the events, then the
 * mark in the ledger; what a pass told that was killed in between is found among the events and not told again. Where
 * events cannot be written, the mark is not set.
 */
export function recoverPasses({ id, parts }: Pass): void {
  const { ledger, sink } = parts;
  const acts = ledger.untoldActs(id);
  const passes = ledger.untoldPasses?.(id) ?? [];
  if (acts.length === 0 && passes.length === 0) return;
  countInFlight(parts, acts);
  for (const each of cutOffs(passes, acts)) tell(each, parts.sink);
  if (sink.failed?.() === true) return;
  ledger.markActsTold(id, acts.map(({ number }) => number));
  ledger.markPassesTold?.(passes.map((each) => each.id));
}

function cutOffs(passes: readonly UntoldPass[], acts: readonly InFlightAct[]): readonly CutOff[] {
  const ids = [...new Set([...passes.map(({ id }) => id), ...acts.map(({ passId }) => passId)])];
  return ids.map((id) => ({ id, pass: passes.find((each) => each.id === id) ?? null, acts: acts.filter(({ passId }) => passId === id) }));
}

function tell({ id, pass, acts }: CutOff, sink: Pass['parts']['sink']): void {
  const holds = (text: string): boolean => sink.holds?.(text) === true;
  const untold = acts.filter((act) => !holds(`act":"${nameOf(act)}"`));
  if (untold.length === 0 && (pass === null || holds(`"gpuctl.cut_off":"${id}"`))) return;
  const about = { cutOff: id, ...(pass === null ? {} : { cutOffJob: pass.job, cutOffStarted: isoTime(pass.startedAt), ...(pass.exit === null ? {} : { cutOffExit: pass.exit }) }) };
  const name = `${pass?.job ?? 'a pass'} (${id})`;
  if (untold.length === 0) {
    const how = pass === null || pass.exit === null ? `did not come to its end; ${acts.length === 0 ? 'no act was in flight' : 'how its last act ended is told'}` : `ended with exit code ${pass.exit} and was cut off before it could say so`;
    sink.emit({ action: 'pass.recovered', message: `${name} ${how}`, ...(pass?.exit === null ? {} : { level: 'info' as const, alert: false }), facts: about });
    return;
  }
  for (let at = 0; at < untold.length; at += ACTS_A_LINE) {
    const some = untold.slice(at, at + ACTS_A_LINE);
    sink.emit({
      action: 'pass.recovered', message: `${name} was killed with ${counted(acts.length, 'act')} in flight; the host is looked at anew`,
      facts: { ...about, acts: some.map((act) => ({ act: nameOf(act), ...act })) },
    });
  }
}

function nameOf({ passId, number }: InFlightAct): string {
  return actName(passId, number);
}
