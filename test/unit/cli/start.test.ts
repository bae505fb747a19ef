import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';

const CLI = join(import.meta.dirname, '..', '..', '..', 'src', 'cli');

/** A bundle that prints one letter, with the stamp that the build gives it. Bundles of two letters are equally long. */
function bundleFor(letter: string): string {
  const text = `function say() { process.stdout.write('${letter}'); }\nsay();\n`;
  return `${text}//# ${createHash('sha256').update(text).digest('hex')}\n`;
}

function useFolder(): { readonly put: (letter: string) => void; readonly compile: () => void; readonly start: () => { readonly said: string; readonly fromCache: boolean }; readonly cache: string } {
  const folder = mkdtempSync(join(tmpdir(), 'gpuctl-start-'));
  onTestFinished(() => { rmSync(folder, { recursive: true }); });
  const run = (code: string): string => execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' });
  return {
    cache: join(folder, 'gpuctl.cache'),
    put: (letter) => { writeFileSync(join(folder, 'gpuctl.cjs'), bundleFor(letter)); },
    compile: () => { run(`import { makeCodeCache } from '${CLI}/make-code-cache.ts'; makeCodeCache('${folder}');`); },
    start: () => {
      const [said = '', rejected] = run(`import { start } from '${CLI}/start.ts'; const script = start('${folder}'); console.log(' ' + script.cachedDataRejected);`).trim().split(' ');
      return { said, fromCache: rejected === 'false' };
    },
  };
}

it('a bundle runs without compiled code, and from it once that is made', () => {
  const folder = useFolder();
  folder.put('A');
  expect(folder.start()).toEqual({ said: 'A', fromCache: false });
  folder.compile();
  expect(folder.start()).toEqual({ said: 'A', fromCache: true });
});

it('compiled code of another bundle of the same length is never run', () => {
  const folder = useFolder();
  folder.put('A');
  folder.compile();
  folder.put('B');
  expect(folder.start()).toEqual({ said: 'B', fromCache: false });
});

it('compiled code that is cut or damaged is not run', () => {
  const folder = useFolder();
  folder.put('A');
  folder.compile();
  const whole = readFileSync(folder.cache);
  for (const at of [10, 70, 164, 300, Math.floor(whole.length / 2), whole.length - 10]) {
    const damaged = Buffer.from(whole);
    damaged.writeUInt8(damaged.readUInt8(at) ^ 0xff, at);
    writeFileSync(folder.cache, damaged);
    expect(folder.start()).toEqual({ said: 'A', fromCache: false });
  }
  for (const length of [0, 64, 80, whole.length - 1]) {
    writeFileSync(folder.cache, whole.subarray(0, length));
    expect(folder.start()).toEqual({ said: 'A', fromCache: false });
  }
});
