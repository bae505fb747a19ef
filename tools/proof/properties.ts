import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Part, renderParts } from './part.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const HISTORIES = 'test/property/histories.test.ts';
const MONTHS = 'test/property/limits.month.test.ts';
const DAMAGE = 'test/property/damaged-answers.test.ts';

interface Section {
  readonly what: string;
  readonly files: readonly string[];
  /** PROPERTY_RUNS: with some to spare over the floor. */
  readonly runs: number;
  /** The count that its tests keep, and how much of it there must be. */
  readonly counted: string;
  readonly floor: number;
}

/** Those that PROPERTY_RUNS multiplies. */
const others = globSync('test/property/**/*.test.ts', { cwd: ROOT })
  .filter((file) => ![HISTORIES, DAMAGE, MONTHS].includes(file) && readFileSync(join(ROOT, file), 'utf8').includes('runs('))
  .toSorted();
const SECTIONS: readonly Section[] = [
  { what: 'generated hosts', files: others, runs: 6, counted: 'hosts', floor: 100_000 },
  { what: 'generated histories', files: [HISTORIES], runs: 44, counted: 'histories', floor: 10_000 },
  { what: 'damaged answers', files: [DAMAGE], runs: 50, counted: 'damaged inputs', floor: 100_000 },
  { what: 'months under limits', files: [MONTHS], runs: 3, counted: 'days of whole months', floor: 90 },
];

/** The properties on cases that nobody has seen before, as many as the floors ask for; what was tried is counted by the tests themselves. */
export function proveProperties(): readonly Part[] {
  const seed = randomInt(2 ** 31);
  const folder = mkdtempSync(join(tmpdir(), 'gpuctl-proof-'));
  try {
    return SECTIONS.map((section, n) => prove(section, seed, join(folder, `${n}.jsonl`)));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function prove({ what, files, runs, counted, floor }: Section, seed: number, counts: string): Part {
  const began = performance.now();
  const { status } = spawnSync('vitest', ['run', '--config', 'tools/proof/properties.config.ts', ...files], {
    cwd: ROOT, stdio: 'inherit',
    env: { ...process.env, PATH: `${join(ROOT, 'node_modules', '.bin')}:${process.env['PATH'] ?? ''}`, PROPERTY_SEED: `${seed}`, PROPERTY_RUNS: `${runs}`, PROPERTY_COUNTS: counts },
  });
  const tried = sumOf(counts, counted);
  const replay = `  again: PROPERTY_SEED=${seed} PROPERTY_RUNS=${runs} vitest run --config tools/proof/properties.config.ts FILE -t NAME (fast-check's "path", above, says which case of it)`;
  const told = [...(status === 0 ? [] : [`${what}: a test failed`, replay]), ...(tried >= floor ? [] : [`${what}: ${tried} is less than ${floor}`])];
  return { what: `${what} (seed ${seed})`, tried: `${tried}`, floor: `${floor}`, seconds: (performance.now() - began) / 1000, passed: told.length === 0, told };
}

function sumOf(file: string, what: string): number {
  if (!existsSync(file)) return 0;
  const lines = readFileSync(file, 'utf8').split('\n').filter((line) => line !== '');
  return lines.reduce((sum, line) => sum + ((JSON.parse(line) as Record<string, number>)[what] ?? 0), 0);
}

if (import.meta.main) {
  const parts = proveProperties();
  process.stdout.write(renderParts(parts));
  process.exitCode = parts.every(({ passed }) => passed) ? 0 : 1;
}
