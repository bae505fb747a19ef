import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Part, renderParts } from './part.ts';
import { excused, type Excuse, type Mutant, mutantsIn, type Report } from './survivors.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const OWN = import.meta.dirname;
/** Of the mutants that the tests could have noticed. */
const LEAST_PERCENT = 90;

/** Mutates the rules and the acting side, or only these files, and asks which mutants no unit test notices. */
export function proveMutants(files: readonly string[]): Part {
  const began = performance.now();
  const folder = mkdtempSync(join(tmpdir(), 'gpuctl-mutants-'));
  try {
    const mutants = install() && runStryker(folder, files) ? mutantsIn(JSON.parse(readFileSync(reportIn(folder), 'utf8')) as Report) : null;
    return partOf(mutants, (performance.now() - began) / 1000);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What mutates is installed beside this file, when it is first needed: gpuctl itself is built and tested without it. */
function install(): boolean {
  const [wanted, installed] = [join(OWN, 'package-lock.json'), join(OWN, 'node_modules', '.package-lock.json')];
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(wanted).mtimeMs) return true;
  // Its vitest is that of the repository, which npm cannot know here.
  const { status } = spawnSync('npm', ['ci', '--ignore-scripts', '--legacy-peer-deps', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: OWN, stdio: ['ignore', 'inherit', 'inherit'] });
  if (status === 0) utimesSync(installed, new Date(), new Date());
  return status === 0;
}

/** All that it writes goes into this folder; the repository is copied there, once a worker. */
function runStryker(folder: string, files: readonly string[]): boolean {
  const settings = JSON.parse(readFileSync(join(OWN, 'stryker.json'), 'utf8')) as object;
  const workers = availableParallelism();
  const config = join(folder, 'stryker.json');
  writeFileSync(config, JSON.stringify({ ...settings, tempDirName: join(folder, 'copies'), jsonReporter: { fileName: reportIn(folder) }, concurrency: workers, ...(files.length === 0 ? {} : { mutate: files }) }));
  const { status } = spawnSync(process.execPath, [join(OWN, 'node_modules', '@stryker-mutator', 'core', 'bin', 'stryker.js'), 'run', config], { cwd: ROOT, stdio: 'inherit' });
  return status === 0 && existsSync(reportIn(folder));
}

function reportIn(folder: string): string {
  return join(folder, 'mutation.json');
}

function partOf(mutants: readonly Mutant[] | null, seconds: number): Part {
  const base = { what: 'mutants of decide/ and act/', floor: `${LEAST_PERCENT} % killed`, seconds };
  if (mutants === null || mutants.length === 0) return { ...base, tried: 'none', passed: false, told: ['mutants: the run did not come to its end'] };
  const alive = mutants.filter(({ killed }) => !killed);
  const excuses = JSON.parse(readFileSync(join(OWN, 'survivors.json'), 'utf8')) as readonly Excuse[];
  const strangers = alive.filter((mutant) => !excused(mutant, excuses));
  const percent = (100 * (mutants.length - alive.length)) / mutants.length;
  const told = [
    ...(percent < LEAST_PERCENT ? [`mutants: ${percent.toFixed(1)} % killed, ${LEAST_PERCENT} are wanted`] : []),
    ...(strangers.length > 0 ? [`mutants: ${strangers.length} survived that tools/proof/survivors.json gives no reason for:`] : []),
    ...strangers.map(({ file, line, mutator, was, is }) => `  ${file}:${line} ${mutator}: ${was} -> ${is}`),
  ];
  return { ...base, tried: `${mutants.length}, ${percent.toFixed(1)} % killed, ${alive.length} survived`, passed: told.length === 0, told };
}

if (import.meta.main) {
  const part = proveMutants(process.argv.slice(2));
  process.stdout.write(renderParts([part]));
  process.exitCode = part.passed ? 0 : 1;
}
