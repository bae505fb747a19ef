import type { Effort } from './bench/measure.ts';

/** Each is loaded when it is asked for. */
const SECTIONS: Readonly<Record<string, (effort: Effort) => Promise<void>>> = {
  start: async (effort) => (await import('./bench/start.ts')).benchStart(effort),
  floor: async (effort) => (await import('./bench/floor.ts')).benchFloor(effort),
  limits: async () => (await import('./bench/limits.ts')).benchLimits(),
  phases: async (effort) => (await import('./bench/phases.ts')).benchPhases(effort),
  scaling: async (effort) => (await import('./bench/scaling.ts')).benchScaling(effort),
  predecessor: async (effort) => (await import('./bench/predecessor.ts')).benchPredecessor(effort),
};
const USAGE = `usage: npm run bench -- [${Object.keys(SECTIONS).join('|')}]... [--quick] [RUNS]`;

/** All sections, or those that are named, in the order above. */
async function main(args: readonly string[]): Promise<number> {
  const named = args.filter((arg) => arg !== '--quick' && !/^\d+$/.test(arg));
  const quick = args.includes('--quick');
  const runs = Number(args.find((arg) => /^[1-9]\d*$/.test(arg)) ?? (quick ? 5 : 25));
  const unknown = named.filter((name) => !Object.hasOwn(SECTIONS, name));
  if (unknown.length > 0) {
    process.stderr.write(`${USAGE}\n`);
    return 2;
  }
  for (const [name, section] of Object.entries(SECTIONS)) {
    if (named.length > 0 && !named.includes(name)) continue;
    if (name !== 'start' && process.geteuid?.() !== 0) process.stdout.write(`${name}: not measured; it needs root for a private container engine\n`);
    else await section({ quick, runs });
  }
  return 0;
}

process.exitCode = await main(process.argv.slice(2));
