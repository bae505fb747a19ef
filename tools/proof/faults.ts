import { availableParallelism } from 'node:os';
import { JOBS } from '../../src/schedule/jobs.ts';
import type { JobName } from '../../src/model/schedule.ts';
import { CASES } from '../../test/faults/cases.ts';
import { LIMIT_CASES } from '../../test/faults/limits/cases.ts';
import { runLimitFault } from '../../test/faults/limits/run.ts';
import { killPoints, nameOf, runKill } from '../../test/faults/kills.ts';
import { runAll, runFault, type Verdict } from '../../test/faults/run.ts';
import { type Ground, layGround } from '../../test/faults/stage.ts';

/**
 * `npm run proof:faults`: every fault at every call out of the process, and SIGKILL at every step of every job of the
 * schedule, on a real engine with real processes. Prints a table and exits with 1 where anything is not as it must be.
 * Words given narrow the cases to those whose names hold them: `SIGKILL`, `SIGKILL check-idle`.
 */
const words = process.argv.slice(2);
const isWanted = (name: string): boolean => words.length === 0 || words.some((word) => name.includes(word));
const atOnce = availableParallelism() * 2;
const ground = await layGround();

interface Row { readonly of: string; readonly verdicts: readonly Verdict[]; readonly seconds: number }

function tell({ name, problems, ms }: Verdict): void {
  if (problems.length === 0) console.error(`ok ${name} (${Math.round(ms)} ms)`);
  else console.log(`FAILED ${name} (${Math.round(ms)} ms)\n${problems.map((problem) => `    ${problem}`).join('\n')}`);
}

async function rowOf(of: string, tasks: readonly (() => Promise<Verdict>)[]): Promise<Row> {
  const began = performance.now();
  const verdicts = await runAll(tasks, atOnce, tell);
  return { of, verdicts, seconds: Math.round((performance.now() - began) / 1000) };
}

/** One row a call out. */
async function faultRows<T extends { readonly callOut: string; readonly fault: string }>(cases: readonly T[], run: (on: Ground, one: T) => Promise<Verdict>): Promise<readonly Row[]> {
  const rows: Row[] = [];
  const wanted = cases.filter(({ callOut, fault }) => isWanted(`${callOut}: ${fault}`));
  for (const [of, some] of Map.groupBy(wanted, ({ callOut }) => callOut.replace(/[ ,].*/, ''))) rows.push(await rowOf(of, some.map((each) => () => run(ground, each))));
  return rows;
}

/** Its places are looked for only where a word can mean one of them. */
async function killRow(job: JobName): Promise<readonly Row[]> {
  const of = `SIGKILL ${job}`;
  if (!isWanted(of) && !words.some((word) => word.startsWith(of))) return [];
  const points = (await killPoints(ground, job)).filter((point) => isWanted(nameOf(point)));
  return [await rowOf(of, points.map((each) => () => runKill(ground, each)))];
}

try {
  const rows: Row[] = [];
  // One after the other: what a limit is about must not stand in the way of the others' resets.
  rows.push(...await faultRows(CASES, runFault), ...await faultRows(LIMIT_CASES, runLimitFault));
  for (const { name } of JOBS) rows.push(...await killRow(name));
  const failed = (verdicts: readonly Verdict[]): number => verdicts.filter(({ problems }) => problems.length > 0).length;
  console.log(`${'call out'.padEnd(28)}${'cases'.padStart(6)}${'failed'.padStart(8)}${'seconds'.padStart(9)}`);
  for (const { of, verdicts, seconds } of rows) console.log(`${of.padEnd(28)}${String(verdicts.length).padStart(6)}${String(failed(verdicts)).padStart(8)}${String(seconds).padStart(9)}`);
  const all = rows.flatMap(({ verdicts }) => verdicts);
  console.log(`${all.length} cases: ${failed(all)} failed`);
  process.exitCode = failed(all) === 0 && all.length > 0 ? 0 : 1;
} finally {
  await ground.dispose();
}
