import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, constants, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readEnviron } from '../../../../src/observe/proc/index.ts';
import { createQueue, type Queue } from '../../../../src/observe/proc/queue.ts';
import { type Attempt, readHead } from '../../../../src/observe/proc/read.ts';
import { observeShims } from '../../../../src/observe/proc/shims.ts';

const KEY = 'NVIDIA_VISIBLE_DEVICES';
/** As /proc; what hangs in it is a pipe that nobody writes to. */
const root = mkdtempSync(join(tmpdir(), 'gpuctl-queue-'));
const pipes: string[] = [];
afterEach(() => { for (const path of pipes.splice(0)) answer(path); });
afterAll(() => { rmSync(root, { recursive: true }); });

function hang(pid: number, file: string): string {
  mkdirSync(join(root, String(pid)), { recursive: true });
  const path = join(root, String(pid), file);
  execFileSync('mkfifo', [path]);
  pipes.push(path);
  return path;
}

/** Lets whoever waits for the pipe see its end; nobody may. */
function answer(path: string): void {
  try {
    closeSync(openSync(path, constants.O_WRONLY | constants.O_NONBLOCK));
  } catch (error) {
    expect(error).toMatchObject({ code: 'ENXIO' });
  }
  rmSync(path);
}

function fileOf(name: string, text: string): string {
  writeFileSync(join(root, name), text);
  return join(root, name);
}

describe('a queue of reads', () => {
  let queue: Queue;
  beforeEach(() => { queue = createQueue({ most: 2, deadlineMs: 200 }); });
  const ask = async (path: string): Promise<Attempt<string>> => {
    const got = await queue.ask<Buffer>(path, (done) => { readHead(path, 100, done); });
    return got.ok ? { ok: true, value: got.value.toString() } : got;
  };

  test('gives up one that hangs at its deadline, and asks the others meanwhile and after it', async () => {
    const good = fileOf('good', 'x');
    const hung = ask(hang(1, 'environ'));
    expect(await ask(good)).toEqual({ ok: true, value: 'x' });
    expect(await hung).toEqual({ ok: false, gone: false, unanswered: true, why: 'no answer within 200 ms' });
    expect(await ask(good)).toEqual({ ok: true, value: 'x' });
  });

  test('does not ask what hangs a second time', async () => {
    const path = hang(1, 'environ');
    await ask(path);
    expect(await ask(path)).toMatchObject({ unanswered: true, why: 'an earlier read of it is still unanswered' });
    expect(await ask(fileOf('good', 'x'))).toEqual({ ok: true, value: 'x' });
  });

  test('asks nothing more when all its places are taken by what hangs, whoever waits for his turn included', async () => {
    const good = fileOf('good', 'x');
    const all = await Promise.all([ask(hang(1, 'environ')), ask(hang(2, 'environ')), ask(good), ask(good)]);
    expect(all.slice(2)).toMatchObject([1, 2].map(() => ({ unanswered: true, why: 'not asked: the kernel left 2 such reads unanswered' })));
  });

  test('goes on when one that was given up answers after all', async () => {
    const late = hang(1, 'environ');
    await Promise.all([ask(late), ask(hang(2, 'environ'))]);
    answer(pipes.splice(pipes.indexOf(late), 1)[0] ?? '');
    await expect.poll(() => ask(fileOf('good', 'x'))).toEqual({ ok: true, value: 'x' });
  });

  test('loses no answer because gpuctl itself was busy for longer than the deadline', async () => {
    const reading = ask(fileOf('good', 'x'));
    for (const until = performance.now() + 400; performance.now() < until;);
    expect(await reading).toEqual({ ok: true, value: 'x' });
  });

  test('gives up sooner, and then asks nothing, when those that were held up have taken all the time that they have together', async () => {
    queue = createQueue({ most: 2, deadlineMs: 1000, budgetMs: 100 });
    expect(await ask(hang(1, 'environ'))).toMatchObject({ why: 'no answer within 100 ms' });
    expect(await ask(fileOf('good', 'x'))).toMatchObject({ unanswered: true, why: 'not asked: the kernel was too slow with such reads' });
  });

  test('tells what is gone and what is not permitted as ever', async () => {
    expect(await ask(join(root, 'none'))).toEqual({ ok: false, gone: true, why: 'ENOENT' });
    expect(await ask(root)).toEqual({ ok: false, gone: false, why: 'EISDIR' });
  });
});

test('an environment that does not answer is not one without the variable, and arguments that do not may be those of a shim', async () => {
  hang(7, 'environ');
  hang(8, 'cmdline');
  for (const [name, text] of [['comm', 'containerd-shim\n'], ['status', 'Uid:\t0\t0\t0\t0\n']] as const) writeFileSync(join(root, '8', name), text);
  const [environ, shims] = await Promise.all([readEnviron(7, KEY, root), observeShims([8], root)]);
  expect(environ).toEqual({ why: 'no answer within 2000 ms' });
  expect(shims).toMatchObject({ state: 'partial', value: [], missing: [{ kind: 'shim', subject: 'pid 8', why: expect.stringContaining('no answer within 2000 ms') as string }] });
});

test.each([3, 0])('a process that leaves a read behind ends all the same, with its own exit code %i', (code) => {
  const [path, report] = [hang(1, 'environ'), join(root, 'report')];
  const source = `import { writeFileSync } from 'node:fs';
    import { createQueue } from ${JSON.stringify(new URL('../../../../src/observe/proc/queue.ts', import.meta.url).pathname)};
    import { readHead } from ${JSON.stringify(new URL('../../../../src/observe/proc/read.ts', import.meta.url).pathname)};
    const got = await createQueue({ most: 1, deadlineMs: 100 }).ask('x', (done) => { readHead(${JSON.stringify(path)}, 9, done); });
    writeFileSync(${JSON.stringify(report)}, got.why);
    process.exitCode = ${code};
    process.exit();`;
  const ended = spawnSync(process.execPath, ['--input-type=module-typescript', '-e', source], { timeout: 20_000, encoding: 'utf8' });
  expect(readFileSync(report, 'utf8')).toBe('no answer within 100 ms');
  expect(ended).toMatchObject({ status: code, signal: null, stderr: '' });
});
