import type { Run } from './restore.ts';

const ASK_MS = 10_000;
/** Deeper or wider than any service that only watches GPUs. */
const MOST_STEPS = 8;
const MOST_UNITS = 64;

/** Along these a stop is passed on, and no start brings back what it took: systemd.unit(5), 2026-11. */
const PASSED_ON = ['RequiredBy', 'RequisiteOf', 'BoundBy', 'ConsistsOf', 'PropagatesStopTo'] as const;
const ASKED = ['Id', 'ActiveState', ...PASSED_ON].map((name) => `--property=${name}`);
const AT_REST: ReadonlySet<string> = new Set(['inactive', 'failed']);

/** The units that run and would be stopped together with this one, directly or through others. Null: not known. */
export async function observeDependents(run: Run, unit: string): Promise<readonly string[] | null> {
  const met = new Set([unit]);
  const running: string[] = [];
  let asked: readonly string[] = [unit];
  for (let step = 0; step < MOST_STEPS; step += 1) {
    const { exitCode, stdout, problem } = await run({ file: 'systemctl', args: ['show', ...ASKED, '--', ...asked], timeoutMs: ASK_MS });
    if (problem !== null || exitCode !== 0) return null;
    const units = stdout.trim().split(/\n\s*\n/).map(propertiesIn);
    // A unit that it is silent about may have dependents.
    if (units.length !== asked.length || units.some((each) => !each.has('ActiveState'))) return null;
    if (step > 0) running.push(...units.flatMap((each) => (AT_REST.has(each.get('ActiveState') ?? '') ? [] : [each.get('Id') ?? 'a unit without a name'])));
    asked = [...new Set(units.flatMap((each) => PASSED_ON.flatMap((name) => namesIn(each.get(name)))))].filter((name) => !met.has(name));
    if (asked.length === 0) return running;
    for (const name of asked) met.add(name);
    if (met.size > MOST_UNITS) return null;
  }
  return null;
}

function propertiesIn(text: string): ReadonlyMap<string, string> {
  return new Map(text.split('\n').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}

function namesIn(value: string | undefined): readonly string[] {
  return (value ?? '').split(' ').filter((name) => name !== '');
}
