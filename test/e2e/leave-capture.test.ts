import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PassReport } from '../../src/passes/report.ts';
import { GPUCTL, REPOSITORY } from '../cli/workbench.ts';

interface Told { readonly title: string; readonly status: string; readonly failureMessages: readonly string[] }

const dir = mkdtempSync(join(tmpdir(), 'gpuctl-leave-'));
let told: readonly Told[];
let said = '';

/** The bundle of the test of this name; the titles differ in their beginnings. */
function bundleOf(title: string): string {
  const folder = join(dir, 'gpuctl-failed-tests');
  const [bundle, ...more] = readdirSync(folder).filter((name) => name.startsWith(`${title.replaceAll(/\W+/g, '-')}-1`));
  expect(more).toEqual([]);
  return join(folder, bundle ?? 'none');
}

beforeAll(async () => {
  const out = join(dir, 'told.json');
  const child = spawn('vitest', ['run', '--config', 'test/e2e/failing.config.ts', '--reporter=default', '--reporter=json', `--outputFile.json=${out}`], {
    cwd: REPOSITORY, stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: `${join(REPOSITORY, 'node_modules', '.bin')}:${process.env['PATH']}`, HOME: '/root', TMPDIR: dir },
  });
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => { said += chunk.toString(); });
  await once(child, 'close');
  told = (JSON.parse(readFileSync(out, 'utf8')) as { readonly testResults: readonly { readonly assertionResults: readonly Told[] }[] }).testResults.flatMap(({ assertionResults }) => assertionResults);
}, 180_000);
afterAll(() => { rmSync(dir, { recursive: true }); });

// What these were is in failing.ts; what is replayed below is what only the host of that test had to tell.
const LEFT = [
  ['host of its own', 3, 'complete', 'failed'],
  ['fake engine', 2, 'complete', 'complete'],
  ['hung engine hung nvidia smi', 0, 'failed', 'failed'],
  ['broken configuration', 2, 'complete', 'failed'],
  ['invalid events', 2, 'complete', 'failed'],
  ['room', 0, 'failed', 'failed'],
  ['bare room', 0, 'failed', 'failed'],
  ['disposal after each', 2, 'complete', 'failed'],
  ['preparation', 2, 'complete', 'failed'],
  ['engine alone', 0, 'failed', 'complete'],
  ['scene', 2, 'complete', 'complete'],
] as const;

describe('a test that fails', () => {
  it.each(LEFT)('leaves a bundle that is replayed: %s', (title, gpus, nvidiaSmi, engine) => {
    const bundle = bundleOf(title);
    expect(said).toContain(`gpuctl health-check --replay ${bundle}`);
    const { devices, observed } = JSON.parse(spawnSync(GPUCTL, ['health-check', '--json', '--replay', bundle], { encoding: 'utf8' }).stdout) as PassReport;
    expect([devices.length, observed.nvidia_smi, observed.engine]).toEqual([gpus, nvidiaSmi, engine]);
  });

  it('fails as it would without, and for nothing else', () => {
    const failed = told.filter(({ status }) => status === 'failed');
    expect(failed.map(({ title }) => title).toSorted()).toEqual([...LEFT.map(([title]) => title), 'uncapturable'].filter((title) => title !== 'preparation').toSorted());
    for (const { title, failureMessages } of failed) expect([title, failureMessages]).toEqual([title, [expect.stringMatching(/^AssertionError: expected|^TestTimeoutError: /)]]);
  });

  it('says so where nothing could be left of its host', () => {
    expect(said).toMatch(/uncapturable: \S+ could not be captured: Error: EISDIR/);
  });
});

describe('a test that passes', () => {
  it('leaves nothing', () => {
    expect(told.filter(({ status }) => status === 'passed').map(({ title }) => title)).toEqual(['passes']);
    expect(readdirSync(join(dir, 'gpuctl-failed-tests'))).toHaveLength(LEFT.length);
  });
});
