import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { observeBlocked, observePciGpus, readModuleVersion } from '../../../../src/observe/kernel/index.ts';
import { testFolder } from '../../record/folders.ts';

function device(root: string, busId: string, { vendor = '0x10de', kind = '0x030200', driver, virtual = false }: { readonly vendor?: string; readonly kind?: string; readonly driver?: string; readonly virtual?: boolean } = {}): void {
  const folder = join(root, busId);
  mkdirSync(folder);
  writeFileSync(join(folder, 'vendor'), `${vendor}\n`);
  writeFileSync(join(folder, 'class'), `${kind}\n`);
  if (driver !== undefined) symlinkSync(`../../../../bus/pci/drivers/${driver}`, join(folder, 'driver'));
  if (virtual) symlinkSync('../0000:3b:00.0', join(folder, 'physfn'));
}

describe('the PCI bus', () => {
  test('shows the GPUs of NVIDIA that are this host\'s to use', () => {
    const root = testFolder();
    device(root, '0000:3b:00.0', { driver: 'nvidia' });
    device(root, '0000:3c:00.0', { kind: '0x030000' });
    device(root, '10000:01:00.0', { driver: 'nvidia' });
    device(root, '0000:3b:00.1', { kind: '0x040300' });
    device(root, '0000:3b:00.4', { virtual: true, driver: 'nvidia' });
    device(root, '0000:3d:00.0', { driver: 'vfio-pci' });
    device(root, '0000:00:02.0', { vendor: '0x8086' });
    device(root, '0000:05:00.0', { kind: '0x068000' });
    expect(observePciGpus(root)).toEqual(expect.arrayContaining([{ pciBusId: '00000000:3b:00.0', driver: 'nvidia' }, { pciBusId: '00000000:3c:00.0', driver: null }, { pciBusId: '00010000:01:00.0', driver: 'nvidia' }]));
    expect(observePciGpus(root)).toHaveLength(3);
  });

  test('that cannot be read is not known, which is not the same as empty', () => {
    expect(observePciGpus('/nonexistent')).toBeNull();
  });
});

test('the module\'s version is what it says, and nothing else', () => {
  const file = join(testFolder(), 'version');
  expect(readModuleVersion(file)).toBeNull();
  for (const [text, version] of [['535.274.02\n', '535.274.02'], ['550.54\n', '550.54'], ['\n', null], ['whatever', null]] as const) {
    writeFileSync(file, text);
    expect(readModuleVersion(file)).toBe(version);
  }
});

test('blocked are processes named nvidia… in state D, and nobody else', () => {
  const root = testFolder();
  const stat = (pid: number, name: string, state: string): void => {
    mkdirSync(join(root, String(pid)));
    writeFileSync(join(root, String(pid), 'stat'), `${pid} (${name}) ${state} 1 ${Array.from({ length: 20 }, () => '0').join(' ')}\n`);
  };
  stat(10, 'nvidia-smi', 'D');
  stat(11, 'nvidia-smi', 'S');
  stat(12, 'python nvidia', 'D');
  stat(13, 'nvidia-modprobe', 'D');
  expect(observeBlocked(root)).toEqual([{ pid: 10, command: 'nvidia-smi' }, { pid: 13, command: 'nvidia-modprobe' }]);
});
