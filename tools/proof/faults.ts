import { availableParallelism } from 'node:os';
import { CASES } from '../../test/faults/cases.ts';
import { killPoints, runAll, runFault, runKill, type Verdict } from '../../test/faults/run.ts';
import { layGround } from '../../test/faults/stage.ts';

/**
 * `npm run proof:faults`: every fault at every call out of the process, and SIGKILL at every step of a pass, on a real
 * engine with real processes. Prints a table and exits with 1 where anything is not as it must be. Words given narrow the
 * cases to those whose names hold them.
 */
const words = process.argv.slice(2);
const isWanted = (name: string): boolean => words.length === 0 || words.some((word) => name.includes(word));
const began = performance.now();
const atOnce = availableParallelism() * 2;
const ground = await layGround();
try {
  const faults = CASES.filter(({ callOut, fault }) => isWanted(`${callOut}: ${fault}`));
  const points = (isWanted('SIGKILL') ? await killPoints(ground) : []);
  const tell = ({ name, problems, ms }: Verdict): void => {
    if (problems.length === 0) console.error(`ok ${name} (${Math.round(ms)} ms)`);
    else console.log(`FAILED ${name} (${Math.round(ms)} ms)\n${problems.map((problem) => `    ${problem}`).join('\n')}`);
  };
  const ofFaults = await runAll(faults.map((each) => () => runFault(ground, each)), atOnce, tell);
  const ofKills = await runAll(points.map((each) => () => runKill(ground, each)), atOnce, tell);
  const rows = [...new Set(faults.map(({ callOut }) => callOut.replace(/[ ,].*/, '')))].map((of) => [of, ofFaults.filter(({ name }) => name.startsWith(of))] as const);
  const all = [...rows, ['SIGKILL', ofKills] as const].filter(([, verdicts]) => verdicts.length > 0);
  console.log(`${'call out'.padEnd(16)}${'cases'.padStart(6)}${'failed'.padStart(8)}`);
  for (const [of, verdicts] of all) console.log(`${of.padEnd(16)}${String(verdicts.length).padStart(6)}${String(verdicts.filter(({ problems }) => problems.length > 0).length).padStart(8)}`);
  const failed = [...ofFaults, ...ofKills].filter(({ problems }) => problems.length > 0).length;
  console.log(`${ofFaults.length} faults and ${ofKills.length} kill points in ${Math.round((performance.now() - began) / 1000)} s: ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
} finally {
  await ground.dispose();
}
