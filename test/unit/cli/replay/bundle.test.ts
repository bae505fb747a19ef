import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { renderTar } from '../../../../src/act/notify/tar.ts';
import { readBundle, writeBundle } from '../../../../src/cli/replay/bundle.ts';
import { contentsOf, filesOf } from '../../../../src/cli/replay/contents.ts';
import { player, recorder } from '../../../../src/cli/replay/tape.ts';
import { testFolder } from '../../record/folders.ts';

const manifest = { schema: 1, gpuctl: '1.0.0', host: 'gpu01', at: 1_700_000_000_000, scrubbed: false } as const;
const BLOCK = 512;

function tarOf(...files: readonly (readonly [name: string, content: string])[]): Buffer {
  return Buffer.concat([...files.map(([name, content]) => renderTar({ name, content, mode: 0o600, modifiedS: 0 }).subarray(0, -2 * BLOCK)), Buffer.alloc(2 * BLOCK)]);
}

/** A tar archive with one byte range of its first header changed, and its checksum put right. */
function altered(at: number, text: string): Buffer {
  const tar = tarOf(['manifest.json', JSON.stringify(manifest)]);
  tar.write(text, at, 'latin1');
  const sum = tar.subarray(0, BLOCK).reduce((total, byte, index) => total + (index >= 148 && index < 156 ? 0x20 : byte), 0);
  tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'ascii');
  return tar;
}

describe('what was recorded', () => {
  it('comes back as it was: promises, maps, sets, what is absent, and one answer after the other', async () => {
    const real = { at: 1, set: new Set([1]), inner: { twice: (n: number) => n * 2 }, nothing: undefined, none: null, counts: [1, 2, 3], next: () => 0, later: async (word: string) => `${word}!`, map: () => new Map([['a', Number.POSITIVE_INFINITY]]), void: () => undefined };
    const { tape, part } = recorder();
    let count = 0;
    const recorded = part('real', () => ({ ...real, next: () => (count += 1) }));
    const told = [recorded.next(), recorded.next(), await recorded.later('yes'), recorded.map(), recorded.void(), recorded.inner.twice(4)];
    const file = join(testFolder(), 'b.tar.gz');
    writeBundle(file, filesOf(manifest, tape, { report: {} }), manifest.at);
    const back = contentsOf(file, readBundle(file));
    expect(back.manifest).toEqual(manifest);
    const played = player(back.tape).part('real', () => { throw new Error('nothing real is made'); }) as typeof recorded;
    expect([played.next(), played.next(), await played.later('yes'), played.map(), played.void(), played.inner.twice(4)]).toEqual(told);
    expect(played.next()).toBe(2);
    expect([played.at, played.set, played.none]).toEqual([1, real.set, null]);
    await expect(async () => played.later('no')).rejects.toThrow(/does not hold/);
  });
});

describe('a bundle from anywhere', () => {
  const whole = (): Buffer => tarOf(['manifest.json', JSON.stringify(manifest)]);
  it.each<readonly [string, () => Buffer, RegExp]>([
    ['is cut off in a file', () => gzipSync(whole().subarray(0, BLOCK + 10)), /cut off/],
    ['is cut off in a header', () => gzipSync(whole().subarray(0, 100)), /cut off/],
    ['has no end', () => gzipSync(whole().subarray(0, 2 * BLOCK)), /cut off/],
    ['is cut off as a file', () => gzipSync(whole()).subarray(0, 60), /cut off/],
    ['is not packed', () => Buffer.from('hello'), /not packed/],
    ['is no tar', () => gzipSync(Buffer.alloc(BLOCK, 'x')), /no tar archive/],
    ['unpacks to more than any host', () => gzipSync(Buffer.alloc(257 * 1024 * 1024)), /more than any host/],
    ['says that a file is larger than the bundle', () => gzipSync(altered(124, '77777777777\0')), /cut off/],
    ['has a size that is no number', () => gzipSync(altered(124, '-1         \0')), /damaged/],
    ['leads elsewhere', () => gzipSync(tarOf(['../x.json', '{}'])), /no bundle does/],
    ['leads elsewhere by its prefix', () => gzipSync(altered(345, '../..')), /no bundle does/],
    ['is absolute', () => gzipSync(tarOf(['/etc/passwd', '{}'])), /no bundle does/],
    ['has a link', () => gzipSync(altered(156, '2')), /no bundle does/],
    ['has a file twice', () => gzipSync(tarOf(['a.json', '{}'], ['a.json', '{}'])), /twice/],
    ['has no manifest', () => gzipSync(tarOf(['a.json', '{}'])), /no manifest/],
    ['has a manifest of another time', () => gzipSync(tarOf(['manifest.json', '{"schema":2}'])), /does not know/],
    ['is not JSON', () => gzipSync(tarOf(['manifest.json', '{'])), /not JSON/],
    ['holds no recording', () => gzipSync(tarOf(['manifest.json', JSON.stringify(manifest)], ['a.json', '[]'])), /no recording/],
    ['holds a damaged one', () => gzipSync(tarOf(['manifest.json', JSON.stringify(manifest)], ['a.json', '{"shapes":{"a":{"methods":7}},"answers":{}}'])), /damaged/],
  ])('that %s is refused', (_, bytes, why) => {
    const file = join(testFolder(), 'b.tar.gz');
    writeFileSync(file, bytes());
    expect(() => contentsOf(file, readBundle(file))).toThrow(why);
  });

  it('that is not there, or a folder, is refused', () => {
    expect(() => readBundle('/nonexistent')).toThrow(/ENOENT/);
    expect(() => readBundle(testFolder())).toThrow(/no plain file/);
  });

  it('is never written over another file', () => {
    const file = join(testFolder(), 'b.tar.gz');
    writeFileSync(file, 'mine');
    expect(() => { writeBundle(file, new Map(), 0); }).toThrow(/nothing is overwritten/);
    expect(readFileSync(file, 'utf8')).toBe('mine');
  });
});
