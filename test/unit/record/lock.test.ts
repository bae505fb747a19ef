import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createLock } from '../../../src/record/lock.ts';
import { asNobody, isRoot, testFolder } from './folders.ts';

const HOLDER = join(import.meta.dirname, 'children', 'lock-holder.ts');

/** A process that holds the lock, and its long-lived child. Both are ended after the test. */
async function holderOf(file: string, as = ''): Promise<{ readonly process: ChildProcess; readonly child: number; readonly held: boolean }> {
  const holder = spawn(process.execPath, [HOLDER, file, as], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => { holder.kill('SIGKILL'); });
  const [line] = (await once(createInterface(holder.stdout), 'line')) as [string];
  const { held, child } = JSON.parse(line) as { held: boolean; child: number };
  onTestFinished(() => { process.kill(child, 'SIGKILL'); });
  return { process: holder, child, held };
}

function shellCanLock(file: string): boolean {
  return spawnSync('flock', ['-n', file, 'true']).status === 0;
}

describe('the lock', () => {
  it('is made with its folder, and nobody but its owner may open it', async () => {
    const file = join(testFolder(), 'run', 'gpuctl', 'lock');
    const held = await createLock({ file }).acquire();
    expect(held).not.toBeNull();
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(join(file, '..')).mode & 0o777).toBe(0o755);
    held?.release();
  });

  it('that a shell once made for everybody to read becomes private', async () => {
    const file = join(testFolder(), 'lock');
    writeFileSync(file, '', { mode: 0o644 });
    (await createLock({ file }).acquire())?.release();
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it('is had by one at a time, also within one process, and again after its release', async () => {
    const file = join(testFolder(), 'lock');
    const held = await createLock({ file }).acquire();
    expect(await createLock({ file }).acquire()).toBeNull();
    expect(shellCanLock(file)).toBe(false);
    held?.release();
    held?.release();
    expect(shellCanLock(file)).toBe(true);
    const again = await createLock({ file }).acquire();
    expect(again).not.toBeNull();
    again?.release();
  });

  it('can be taken and given back many times in a row', async () => {
    const lock = createLock({ file: join(testFolder(), 'lock') });
    for (let n = 0; n < 60; n += 1) {
      const held = await lock.acquire();
      expect(held).not.toBeNull();
      held?.release();
    }
  });

  it('is free when its process ends, though a thread of it that does not come back keeps that process from being over', async () => {
    const [file, pipe] = [join(testFolder(), 'lock'), join(testFolder(), 'pipe')];
    spawnSync('mkfifo', [pipe]);
    const source = `import { open } from 'node:fs';
      import { createLock } from ${JSON.stringify(new URL('../../../src/record/lock.ts', import.meta.url).pathname)};
      await createLock({ file: ${JSON.stringify(file)} }).acquire();
      open(${JSON.stringify(pipe)}, () => undefined);
      process.on('exit', () => { process.stdout.write('ending\\n'); });
      process.exit();`;
    const holder = spawn(process.execPath, ['--input-type=module-typescript', '-e', source], { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => { holder.kill('SIGKILL'); });
    await once(createInterface(holder.stdout), 'line');
    await expect.poll(() => shellCanLock(file)).toBe(true);
    expect(holder).toMatchObject({ exitCode: null, signalCode: null });
    expect(existsSync(`/proc/${holder.pid}`)).toBe(true);
  });

  it('is refused while another process holds it, and dies with that process though a child of it lives on', async () => {
    const file = join(testFolder(), 'lock');
    const holder = await holderOf(file);
    expect(holder.held).toBe(true);
    expect(await createLock({ file }).acquire()).toBeNull();
    expect(shellCanLock(file)).toBe(false);

    const ended = once(holder.process, 'exit');
    holder.process.kill('SIGKILL');
    await ended;
    expect(existsSync(`/proc/${holder.child}`)).toBe(true);
    const held = await createLock({ file }).acquire();
    expect(held).not.toBeNull();
    held?.release();
  });

  it('that a shell holds is refused', async () => {
    const file = join(testFolder(), 'lock');
    const shell = spawn('flock', [file, 'sh', '-c', 'echo locked; read -r line'], { stdio: ['pipe', 'pipe', 'inherit'] });
    await once(shell.stdout, 'data');
    expect(await createLock({ file }).acquire()).toBeNull();
    const ended = once(shell, 'exit');
    shell.stdin.end('\n');
    await ended;
  });
});

describe('patience', () => {
  const behindSample = (forMs: number): { readonly as: string; readonly patience: { readonly behind: string; readonly forMs: number } } => ({ as: 'release-stale', patience: { behind: 'sample', forMs } });

  it('waits for a holder of that name, and has the lock when it ends', async () => {
    const file = join(testFolder(), 'lock');
    const holder = await holderOf(file, 'sample');
    const waiting = createLock({ file, ...behindSample(60_000) }).acquire();
    expect(await Promise.race([waiting, new Promise((resolve) => { setTimeout(resolve, 700, 'waits'); })])).toBe('waits');
    holder.process.kill('SIGKILL');
    const held = await waiting;
    expect(held).not.toBeNull();
    expect(shellCanLock(file)).toBe(false);
    expect(readFileSync(file, 'utf8')).toBe('release-stale\n');
    held?.release();
  });

  it('ends with its time', async () => {
    const file = join(testFolder(), 'lock');
    await holderOf(file, 'sample');
    const began = performance.now();
    expect(await createLock({ file, ...behindSample(800) }).acquire()).toBeNull();
    expect(performance.now() - began).toBeGreaterThanOrEqual(800);
  });

  it.each([['another pass', 'check-idle'], ['somebody without a name', '']])('is not had with %s', async (_, name) => {
    const file = join(testFolder(), 'lock');
    writeFileSync(file, 'sample\n', { mode: 0o600 });
    await holderOf(file, name);
    expect(await createLock({ file, ...behindSample(3_600_000) }).acquire()).toBeNull();
  });

  it('ends where another pass is the first to have the lock after the sample', async () => {
    const file = join(testFolder(), 'lock');
    const sampler = await createLock({ file, as: 'sample' }).acquire();
    const waiting = [1, 2].map(() => createLock({ file, ...behindSample(3_600_000) }).acquire());
    sampler?.release();
    const got = await Promise.all(waiting);
    expect(got.filter((each) => each === null)).toHaveLength(1);
    for (const each of got) each?.release();
  });
});

describe('a lock that cannot be used', () => {
  const refusal = { name: 'GpuctlError', code: 'lock-unusable', exitCode: 3, hint: expect.any(String) as string };

  it('because a link lies in its place is an error, and nothing is made at the end of the link', async () => {
    const folder = testFolder();
    symlinkSync(join(folder, 'elsewhere'), join(folder, 'lock'));
    await expect(createLock({ file: join(folder, 'lock') }).acquire()).rejects.toMatchObject(refusal);
    expect(existsSync(join(folder, 'elsewhere'))).toBe(false);
  });

  it('because a folder lies in its place is an error', async () => {
    const file = join(testFolder(), 'lock');
    mkdirSync(file);
    await expect(createLock({ file }).acquire()).rejects.toMatchObject(refusal);
  });

  it.runIf(isRoot)('by somebody without rights is an error, not a held lock', async () => {
    const file = join(testFolder(), 'lock');
    (await createLock({ file }).acquire())?.release();
    await expect(asNobody(() => createLock({ file }).acquire())).rejects.toMatchObject(refusal);
  });
});
