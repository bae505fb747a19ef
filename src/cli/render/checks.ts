import { printable } from '../../model/text.ts';
import type { CheckReport, PassReport } from '../../passes/report.ts';

/** What each state that is neither healthy nor faulty means to whoever reads it. */
const STATES: readonly (readonly [CheckReport['state'], string])[] = [
  ['unknown', 'could not be read'],
  ['unsupported', 'this board or driver has no such reading'],
  ['learning', 'nothing to compare it with yet'],
  ['not-now', 'cannot be judged at this moment'],
  ['off', 'switched off by health.disable'],
];

/** The checks of every device that said neither yes nor no; empty where the report has none. */
export function renderChecks({ devices }: Pick<PassReport, 'devices'>): string {
  const lines = devices.flatMap(({ index, checks }) => (checks === undefined ? [] : [`  GPU ${index ?? '?'}: ${count(checks, 'ok')} checks ok, ${count(checks, 'found')} with a finding`, ...STATES.flatMap(([state, meaning]) => stateLine(checks, state, meaning))]));
  return lines.length === 0 ? '' : `\nChecks\n${lines.join('\n')}\n`;
}

function count(checks: readonly CheckReport[], state: CheckReport['state']): number {
  return checks.filter((each) => each.state === state).length;
}

function stateLine(checks: readonly CheckReport[], state: CheckReport['state'], meaning: string): readonly string[] {
  const mine = checks.filter((each) => each.state === state).map(({ id, why }) => (why === undefined ? id : `${id} (${printable(why, 100)})`));
  return mine.length === 0 ? [] : wrapped(`    ${state} (${meaning}):`, mine);
}

const COLUMNS = 100;

/** A list behind its title, in as many lines as it takes. */
function wrapped(title: string, items: readonly string[]): readonly string[] {
  return items.reduce<readonly string[]>((lines, item, at) => {
    const [text, last] = [at === items.length - 1 ? item : `${item},`, lines.at(-1) ?? ''];
    return last.length + 1 + text.length <= COLUMNS ? [...lines.slice(0, -1), `${last} ${text}`] : [...lines, `      ${text}`];
  }, [title]);
}
