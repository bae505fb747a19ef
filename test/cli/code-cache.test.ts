import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');
const NODE = join(ROOT, 'node_modules', '.bin', 'node');
const FILES = ['gpuctl.cjs', 'gpuctl.cache', 'start.cjs'];
const LAUNCHER = readFileSync(join(ROOT, 'bin', 'gpuctl'), 'utf8');
/** As the launcher gives them to a run. */
const YOUNG = /^young='(.*)'$/m.exec(LAUNCHER)?.[1] ?? 'not there';
const FLAGS = /exec "\$node" (.*?) ?"\$root/.exec(LAUNCHER)?.[1]?.replace('$young', YOUNG).split(' ') ?? [];

let dist: string;
beforeEach(() => {
  dist = mkdtempSync(join(tmpdir(), 'gpuctl-dist-'));
  chmodSync(dist, 0o755);
  for (const file of FILES) cpSync(join(ROOT, 'dist', file), join(dist, file));
});
afterEach(() => { rmSync(dist, { recursive: true }); });

const cache = (): string => join(dist, 'gpuctl.cache');

/** What became of the cache when the bundle was run, and what the bundle printed. */
function runBundle(flags: readonly string[] = FLAGS): { readonly cache: string; readonly stdout: string; readonly stderr: string } {
  const source = `import { start } from ${JSON.stringify(join(ROOT, 'src', 'cli', 'start.ts'))};
    process.argv = ['', '', '--version'];
    const { cachedDataRejected } = start(${JSON.stringify(dist)});
    process.on('exit', () => { process.stdout.write(cachedDataRejected === undefined ? 'not looked at' : cachedDataRejected ? 'rejected' : 'used'); });`;
  const { stdout, stderr } = spawnSync(NODE, [...flags, '--input-type=module-typescript', '-e', source], { encoding: 'utf8' });
  const [said = '', state = ''] = stdout.split('\n');
  return { cache: state, stdout: said, stderr };
}

const printed = { stdout: expect.stringMatching(/^\d+\.\d+\.\d+/) as string, stderr: '' };

describe('the compiled code beside the bundle', () => {
  it('is used by the runtime and with the flags of the launcher', () => {
    expect(FLAGS).toEqual(expect.arrayContaining(['--no-opt', '--max-semi-space-size=8']));
    expect(runBundle()).toEqual({ cache: 'used', ...printed });
  });

  it.each<[string, () => void]>([
    ['is damaged', () => { const bytes = readFileSync(cache()); bytes.fill(0, 64, 128); writeFileSync(cache(), bytes); }],
    ['is cut off', () => { writeFileSync(cache(), readFileSync(cache()).subarray(0, 5000)); }],
    ['is empty', () => { writeFileSync(cache(), ''); }],
    ['is not there', () => { rmSync(cache()); }],
    ['was made of another bundle of the same length', () => { const bytes = readFileSync(cache()); bytes.write('0'.repeat(64), 'latin1'); writeFileSync(cache(), bytes); }],
    ['may be written by the group', () => { chmodSync(cache(), 0o664); }],
    ['may be written by anybody', () => { chmodSync(cache(), 0o646); }],
  ])('is silently not used where it %s', (_, change) => {
    change();
    expect(runBundle()).toEqual({ cache: 'not looked at', ...printed });
  });

  it.runIf(process.geteuid?.() === 0)('is silently not used where it belongs to somebody other than root and the owner of the bundle', () => {
    chownSync(cache(), 65_534, 65_534);
    expect(runBundle().cache).toBe('not looked at');
    chownSync(join(dist, 'gpuctl.cjs'), 65_534, 65_534);
    expect(runBundle()).toEqual({ cache: 'used', ...printed });
  });

  it('is silently not used with other flags', () => {
    expect(runBundle([...FLAGS, '--no-sparkplug'])).toEqual({ cache: 'rejected', ...printed });
  });

  it('is never written when gpuctl runs', () => {
    rmSync(cache());
    const before = readdirSync(dist);
    expect(spawnSync(NODE, [...FLAGS, join(dist, 'start.cjs'), '--version']).status).toBe(0);
    expect(readdirSync(dist)).toEqual(before);
  });
});
