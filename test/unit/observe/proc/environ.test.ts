import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { readEnviron } from '../../../../src/observe/proc/index.ts';
import { openBench, type Bench } from './bench.ts';

const KEY = 'NVIDIA_VISIBLE_DEVICES';
const root = mkdtempSync(join(tmpdir(), 'gpuctl-environ-'));
let bench: Bench;
beforeAll(() => {
  bench = openBench();
  mkdirSync(join(root, '7'));
});
afterAll(() => {
  bench.clear();
  rmSync(root, { recursive: true });
});

function inEnviron(text: string): ReturnType<typeof readEnviron> {
  writeFileSync(join(root, '7/environ'), text);
  return readEnviron(7, KEY, root);
}

describe('the environment of a process', () => {
  test('is what it was started with', async () => {
    const pid = bench.startAs('worker', [], { env: { [KEY]: 'GPU-x,\n1', OTHER: 'x' } });
    await vi.waitUntil(async () => (await readEnviron(pid, 'OTHER')) === 'x');
    expect(await readEnviron(pid, KEY)).toBe('GPU-x,\n1');
    expect(await readEnviron(pid, 'NVIDIA')).toBeNull();
  });

  test.each<[string, string, string | null]>([
    ['the first of several', `A=1\0${KEY}=0\0${KEY}=all\0`, '0'],
    ['an empty value, which is not none', `${KEY}=\0`, ''],
    ['no value for a name that only ends like it', `MY_${KEY}=0\0`, null],
    ['no value out of the middle of another', `A=x ${KEY}=0\0`, null],
    ['none of a text cut in the middle', `A=1\0${KEY}=GPU-12`, null],
    ['none behind the first MiB', `A=${'x'.repeat(1024 * 1024)}\0${KEY}=0\0`, null],
    ['none of an empty one', '', null],
  ])('gives %s', async (_, text, value) => {
    expect(await inEnviron(text)).toBe(value);
  });

  test('of nobody is null', async () => {
    expect(await readEnviron(4_000_002, KEY)).toBeNull();
  });
});
