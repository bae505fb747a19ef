import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parsePmon } from '../../../../src/observe/nvidia-smi/pmon.ts';
import { complete, seen } from '../../../../src/model/observation.ts';

const CAPTURES = join(import.meta.dirname, '..', '..', '..', '..', '..', 'shared', 'captures', 'text');

const OLD = ['# gpu        pid  type    sm   mem   enc   dec   command', '# Idx          #   C/G     %     %     %     %   name'];
const NEW = ['# gpu         pid   type     sm    mem    enc    dec    jpg    ofa    command ', '# Idx           #    C/G      %      %      %      %      %      %    name '];
const text = (...lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');
const usesIn = (...lines: readonly string[]): unknown => seen(parsePmon(text(...lines), 0));

describe('what pmon says', () => {
  it('is read by its heading, whatever columns the driver has', () => {
    expect(usesIn(...OLD, '    0       4711     C    12     3     -     -   python3', '    1       4712     C     -     -     -     -   train it')).toEqual([{ gpuIndex: 0, pid: 4711, smPercent: 12 }, { gpuIndex: 1, pid: 4712, smPercent: null }]);
    expect(usesIn(...NEW, '    0      21180     C      0      -      -      -      -      -    memhog')).toEqual([{ gpuIndex: 0, pid: 21180, smPercent: 0 }]);
    expect(usesIn('# gpu pid type fb sm mem enc dec command', '# Idx # C/G MB % % % % name', ' 3 7 C 7669 40 - - - python')).toEqual([{ gpuIndex: 3, pid: 7, smPercent: 40 }]);
    expect(usesIn('# gpu pid type fb command', '# Idx # C/G MB name', ' 3 7 C 7669 python')).toEqual([{ gpuIndex: 3, pid: 7, smPercent: null }]);
  });

  it('is nothing for a device on which nothing runs, and no sample for a dash or what is no per cent', () => {
    expect(parsePmon(text(...NEW, '    0          -     -      -      -      -      -      -      -    -              '), 0)).toEqual(complete([]));
    expect(usesIn(...OLD, ' 0 1 C 101 - - - x', ' 0 2 C N/A - - - x', ' 0 3 C -1 - - - x')).toMatchObject([{ smPercent: null }, { smPercent: null }, { smPercent: null }]);
  });

  it('is no number where white space that pmon does not write came into the middle of one', () => {
    expect(usesIn(...OLD, '    0       4711     C    4\v0     3     -     -   python3')).toEqual([{ gpuIndex: 0, pid: 4711, smPercent: null }]);
    expect(usesIn(...OLD.map((line) => line.replace('type', 'ty\u2028pe')), '    0       4711     C    40     3     -     -   python3')).toEqual([{ gpuIndex: 0, pid: 4711, smPercent: 40 }]);
  });

  it('is not known where it is cut off, has no heading, or changes its columns', () => {
    const whole = text(...OLD, '    0       4711     C    12     3     -     -   python3');
    for (let length = 1; length < whole.length; length += 1) {
      const cut = parsePmon(whole.slice(0, length), 0);
      if (cut.state !== 'failed') expect(cut).toEqual(complete([]));
      else expect(cut.code).toBe('malformed');
    }
    expect(parsePmon(whole.slice(0, -9), 0)).toMatchObject({ state: 'failed', code: 'malformed' });
    expect(parsePmon('', 0)).toMatchObject({ state: 'failed' });
    expect(parsePmon(text(...OLD, ' 0 1 C 1 - - - x', ...NEW, ' 0 2 C 1 - - - - - x'), 0)).toMatchObject({ state: 'failed', code: 'malformed' });
    expect(parsePmon(text(...OLD, ' 0 1 C'), 0)).toMatchObject({ state: 'failed', code: 'malformed' });
  });

  it('is refused where the driver cannot tell, and a failure otherwise', () => {
    expect(parsePmon('Not supported on the device(s)\n', 0)).toMatchObject({ state: 'failed', code: 'refused' });
    expect(parsePmon('Process Monitoring is Not Supported on this device\n', 3)).toMatchObject({ state: 'failed', code: 'refused' });
    expect(parsePmon('Unable to determine the device handle for GPU0000:11:00.0: Unknown Error\n', 255)).toMatchObject({ state: 'failed', code: 'device-fault' });
  });

  it('cannot be forged by the name of a process: its second row for a process takes away both, and a line that is none says nothing', () => {
    expect(usesIn(...OLD, ' 0 1 C 90 - - - x', ' 0 2 C - - - - evil', ' 0 1 C 0 - - - forged')).toEqual([{ gpuIndex: 0, pid: 2, smPercent: null }]);
    expect(usesIn(...OLD, ' 0 1 C 90 - - - a', 'second line of a name', ' 0 2 C 5 - - - b')).toMatchObject([{ pid: 1 }, { pid: 2 }]);
  });

  it.skipIf(!existsSync(CAPTURES))('of real machines is read', () => {
    const real = parsePmon(readFileSync(join(CAPTURES, 'sonar-pmon-s-mu-2023.txt'), 'utf8'), 0);
    expect(seen(real)).toContainEqual({ gpuIndex: 1, pid: 2233095, smPercent: 84 });
    expect(seen(real)).toContainEqual({ gpuIndex: 0, pid: 447153, smPercent: null });
    const mig = readFileSync(join(CAPTURES, 'utkuozdemir-linux-x86_64__nvidia-h100-mig__590.48.01.txt'), 'utf8').split('# load :: pmon')[1]?.split('\n').slice(3, 8).join('\n') ?? '';
    expect(parsePmon(`${mig}\n`, 0)).toEqual(complete([21180, 21181, 21198].map((pid) => ({ gpuIndex: 0, pid, smPercent: null }))));
  });
});
