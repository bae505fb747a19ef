import { describe, expect, it } from 'vitest';
import { parseComputeApps } from '../../../../src/observe/nvidia-smi/compute-apps.ts';
import { classifyFailure } from '../../../../src/observe/nvidia-smi/failure.ts';
import { parseGpuIndex } from '../../../../src/observe/nvidia-smi/gpu-index.ts';
import { parseList } from '../../../../src/observe/nvidia-smi/list.ts';
import { parseSmiXml } from '../../../../src/observe/nvidia-smi/smi-xml.ts';
import { capture, captureNames, DRIVERS, fixture, haveCaptures, recorded, sharedFixture } from './captures.ts';

const A = 'GPU-00000001-aaaa-bbbb-cccc-0123456789ab';
const B = 'GPU-00000002-aaaa-bbbb-cccc-0123456789ab';
const APPS = 'gpu_uuid, pid, used_gpu_memory [MiB]\n';
const INDEX = 'index, uuid, pci.bus_id\n';

/** GPU index and number of MIG devices of each GPU. */
function count(text: string): unknown {
  const list = parseList(text, 0);
  return list.state === 'complete' ? list.value.gpus.map(({ index, migDevices }) => `${index}:${migDevices.length}`) : list;
}

describe('the list of devices', () => {
  it.each(DRIVERS)('is read with its MIG devices (driver %s)', (driver) => {
    const list = parseList(fixture(driver, 'list.txt'), 0);
    expect(list.state).toBe('complete');
    expect(list.state !== 'failed' && list.value.gpus.flatMap(({ migDevices }) => migDevices.map(({ index, profile }) => `${index} ${profile}`))).toEqual({
      470: ['0 3g.20gb', '1 3g.20gb'],
      535: ['0 3g.40gb', '1 1g.10gb', '2 1g.10gb'],
      550: [],
      570: ['0 1c.3g.40gb', '1 2c.3g.40gb', '2 1g.10gb+me'],
      590: ['0 4g.90gb', '1 1g.23gb'],
    }[driver]);
  });

  it('is read in the form of R460, whose MIG UUIDs name the parent', () => {
    const list = parseList(sharedFixture('list-r460.txt'), 0);
    expect(list).toMatchObject({ state: 'complete', value: { gpus: [{ index: 0, migDevices: [{ index: 0, uuid: 'MIG-GPU-0000460a-0001-4aaa-8bbb-0000460a460b/1/0' }, { index: 1 }] }, { index: 1, migDevices: [] }] } });
  });

  it.skipIf(!haveCaptures)('is read from real drivers', () => {
    expect(count(capture('text/real-L-mig-old-r460.txt'))).toEqual(['3:0', '4:2', '5:2']);
    expect(count(recorded('L-mig-555.58.02.txt').stdout)).toEqual(['0:5', '1:0']);
    const section = /^# \$ nvidia-smi -L\n#+\n((?:GPU|  MIG).*\n)+/m.exec(capture('text/utkuozdemir-linux-x86_64__nvidia-h100-mig__590.48.01.txt'))?.[0] ?? '';
    expect(count(section.replace(/^#.*\n/gm, ''))).toEqual(['0:4']);
  });

  it('with a GPU that could not be opened keeps the others, and may not be joined unless it exited with 0', () => {
    const good = `GPU 0: NVIDIA H100 80GB HBM3 (UUID: ${A})\n`;
    const line = 'Unable to determine the device handle for gpu 0000:11:00.0: GPU is lost.  Reboot the system to recover this GPU\n\n\n';
    const missing = [{ subject: '00000000:11:00.0', why: expect.stringContaining('GPU is lost') }];
    expect(parseList(good + line, 15)).toMatchObject({ state: 'partial', missing, value: { whole: false, gpus: [{ index: 0 }] } });
    expect(parseList(line + good, 0)).toMatchObject({ state: 'partial', missing, value: { whole: true, gpus: [{ index: 0 }] } });
  });

  it('with an error text in place of a UUID is partial', () => {
    expect(parseList(`GPU 0: X (UUID: ${A})\nGPU 1: X (UUID: GPU is lost)\n`, 0)).toMatchObject({ state: 'partial', value: { gpus: [{ uuid: A }, { uuid: null }] } });
  });

  it.each([
    ['nothing', ''],
    ['garbage', 'hello\n'],
    ['a line that is cut off', `GPU 0: NVIDIA H100 80GB HBM3 (UUID: ${A})`],
    ['half a UUID', `GPU 0: X (UUID: ${A})\n  MIG 1g.10gb     Device  0: (UUID: MIG-1234)\n`],
    ['a MIG device without a GPU', `  MIG 1g.10gb     Device  0: (UUID: MIG-${A.slice(4)})\n`],
    ['a GPU twice', `GPU 0: X (UUID: ${A})\nGPU 1: X (UUID: ${A})\n`],
    ['an index twice', `GPU 0: X (UUID: ${A})\nGPU 0: X (UUID: ${B})\n`],
    ['a MIG number twice', `GPU 0: X (UUID: ${A})\n  MIG 1g.10gb Device 0: (UUID: MIG-${A.slice(4)})\n  MIG 1g.10gb Device 0: (UUID: MIG-${B.slice(4)})\n`],
    ['a document', fixture('535', 'qx.xml')],
  ])('that is %s is refused', (_, text) => {
    expect(parseList(text, 0)).toMatchObject({ state: 'failed', code: 'malformed' });
  });

  it('cut off at any byte never names a device that is not there', () => {
    const text = fixture('570', 'list.txt');
    const whole = new Set(text.match(/(?:GPU|MIG)-[0-9a-f-]{36}/g));
    for (let length = 0; length < text.length; length++) {
      const list = parseList(text.slice(0, length), 0);
      const atLineEnd = length > 0 && text[length - 1] === '\n';
      expect(list.state).toBe(atLineEnd ? 'complete' : 'failed');
      if (list.state !== 'failed') for (const { uuid, migDevices } of list.value.gpus) expect([uuid, ...migDevices.map((device) => device.uuid)].every((name) => whole.has(name ?? ''))).toBe(true);
    }
  });
});

describe('the indices', () => {
  it.each(DRIVERS)('are read with UUID and bus id (driver %s)', (driver) => {
    const index = parseGpuIndex(fixture(driver, 'query-gpu.csv'), 0);
    expect(index.state).toBe('complete');
    expect(index.state !== 'failed' && index.value.rows.map((row) => row.index)).toEqual(driver === '590' ? [0, 1, 2] : [0, 1]);
  });

  it('of a lost GPU are unknown, the others are not', () => {
    expect(parseGpuIndex(`${INDEX}0, ${A}, 00000000:10:00.0\n[GPU is lost], [GPU is lost], [GPU is lost]\n`, 0)).toMatchObject({
      state: 'partial', missing: [{ subject: 'gpu' }], value: { rows: [{ index: 0, uuid: A, busId: '00000000:10:00.0' }, { index: null, uuid: null, busId: null }] },
    });
  });

  it('come after a line about a GPU that could not be opened', () => {
    const line = 'Unable to determine the device handle for GPU3: 0000:04:00.0: Unknown Error\n';
    for (const text of [line + INDEX, INDEX + line]) {
      expect(parseGpuIndex(`${text}0, ${A}, 00000000:01:00.0\n`, 0)).toMatchObject({ state: 'partial', missing: [{ subject: '00000000:04:00.0' }], value: { rows: [{ index: 0 }] } });
    }
  });

  it.each([
    ['without a heading', `0, ${A}, 00000000:10:00.0\n`],
    ['under another heading', `index, uuid, name\n0, ${A}, X\n`],
    ['cut off', `${INDEX}0, ${A}, 00000000:10:00`],
    ['naming an index twice', `${INDEX}0, ${A}, 00000000:10:00.0\n0, ${B}, 00000000:11:00.0\n`],
    ['with garbage among them', `${INDEX}0, ${A}, 00000000:10:00.0\nhello\n`],
    ['empty', ''],
  ])('%s are refused', (_, text) => {
    expect(parseGpuIndex(text, 0)).toMatchObject({ state: 'failed', code: 'malformed' });
  });
});

describe('the compute list', () => {
  it('is empty only under its heading', () => {
    expect(parseComputeApps(APPS, 0)).toMatchObject({ state: 'complete', value: { rows: [] } });
    expect(parseComputeApps('gpu_uuid, pid, used_memory [MiB]\r\n', 0)).toMatchObject({ state: 'complete', value: { rows: [] } });
    expect(parseComputeApps('', 0)).toMatchObject({ state: 'failed', code: 'malformed' });
    expect(parseComputeApps('\n', 0)).toMatchObject({ state: 'failed', code: 'malformed' });
  });

  it('takes a row with a pid, whatever is known of its memory', () => {
    expect(parseComputeApps(`${APPS}${A}, 4242, 1536 MiB\n${A}, 4243, [N/A]\n${A}, 4244, [Not Found]\n`, 0)).toMatchObject({
      state: 'complete', value: { rows: [{ gpuUuid: A, pid: 4242 }, { gpuUuid: A, pid: 4243 }, { gpuUuid: A, pid: 4244 }] },
    });
  });

  it.each(['[GPU is lost]', '[Insufficient Permissions]', '[Unknown Error]', '[N/A]', '0', '-', '4242x', '99999999999'])('says that a GPU is unknown where the pid reads "%s"', (pid) => {
    expect(parseComputeApps(`${APPS}${A}, ${pid}, [N/A]\n${B}, 7, 1 MiB\n`, 0)).toMatchObject({
      state: 'partial', missing: [{ subject: A, why: expect.stringContaining(pid) }], value: { rows: [{ gpuUuid: B, pid: 7 }], unknown: [{ subject: A }] },
    });
  });

  it('keeps a row that names no GPU as something that may be about any', () => {
    expect(parseComputeApps(`${APPS}[GPU is lost], [GPU is lost], [GPU is lost]\n[Unknown Error], 7, 1 MiB\n`, 0)).toMatchObject({
      state: 'partial', missing: [{ subject: 'gpu' }, { subject: 'gpu' }], value: { rows: [], unattributed: [expect.any(String), expect.any(String)] },
    });
  });

  it('cut off within a row is refused', () => {
    const text = `${APPS}${A}, 4242, 1536 MiB\n`;
    for (let length = 0; length < text.length; length++) {
      if (length !== APPS.length) expect(parseComputeApps(text.slice(0, length), 0).state).toBe('failed');
    }
  });

  it.each(['hello\n', `${A}, 4242\n`, `${A}, 4242, 1536 MiB, more\n`])('with the line "%s" among its rows is refused', (line) => {
    expect(parseComputeApps(`${APPS}${line}`, 0)).toMatchObject({ state: 'failed', code: 'malformed' });
  });
});

/** Code, and the reader that takes it for an answer, if any. */
const VERDICTS: Readonly<Record<string, readonly [code: string, answers?: 'list' | 'xml' | undefined, exitCode?: number]>> = {
  'L-handle1-irq-535.274.02.txt': ['device-fault', 'list'],
  'L-handle1-lost-535.274.02.txt': ['device-fault', 'list'],
  'L-handle1-noperm-535.274.02.txt': ['device-fault', 'list'],
  'L-handle1-notfound-535.274.02.txt': ['device-fault', 'list'],
  'L-handle1-power-535.274.02.txt': ['device-fault', 'list'],
  'L-handle1-resetrequired-535.274.02.txt': ['device-fault', 'list'],
  'L-handle1-unknown-535.274.02.txt': ['device-fault', 'list'],
  'L-mig-555.58.02.txt': ['malformed', 'list'],
  'badfield-535.274.02.txt': ['refused'],
  'badid-535.274.02.txt': ['no-devices'],
  'badoption-535.274.02.txt': ['refused'],
  'computeapps-comma-name-555.58.02.txt': ['malformed'],
  'computeapps-emptyname-NAmem-555.58.02.txt': ['malformed'],
  'computeapps-err-lost-555.58.02.txt': ['device-fault'],
  'computeapps-err-noperm-555.58.02.txt': ['not-permitted'],
  'computeapps-err-notsupported-555.58.02.txt': ['malformed'],
  'computeapps-err-unknown-555.58.02.txt': ['malformed'],
  'init-mismatch-535.274.02.txt': ['version-mismatch'],
  'init-noperm-535.274.02.txt': ['not-permitted'],
  'init-osblocked-535.274.02.txt': ['not-permitted'],
  'init-unknown-535.274.02.txt': ['error'],
  'nodriver-real-535.274.02.txt': ['no-driver'],
  'nogpu-L-535.274.02.txt': ['no-devices'],
  'nogpu-qx-535.274.02.txt': ['no-devices'],
  'nolib-real-535.274.02.txt': ['no-driver'],
  'querygpu-handle1-lost-535.274.02.txt': ['device-fault'],
  'querygpu-prop1-lost-535.274.02.txt': ['device-fault'],
  'querygpu-prop1-resetrequired-535.274.02.txt': ['device-fault'],
  'qx-handle1-irq-535.274.02.txt': ['device-fault'],
  'qx-handle1-lost-535.274.02.txt': ['device-fault'],
  'qx-handle1-noperm-535.274.02.txt': ['malformed', 'xml'],
  'qx-handle1-notfound-535.274.02.txt': ['malformed', 'xml'],
  'qx-handle1-power-535.274.02.txt': ['device-fault'],
  'qx-handle1-resetrequired-535.274.02.txt': ['device-fault'],
  'qx-handle1-unknown-535.274.02.txt': ['device-fault'],
  'qx-i0-while-gpu1-lost-535.274.02.txt': ['device-fault'],
  'qx-iuuid-healthy-while-other-lost-535.274.02.txt': ['device-fault'],
  'real-mig-container-insufficient-perm.txt': ['not-permitted', undefined, 0],
  'real-mig-pending-inuse.txt': ['refused', undefined, 0],
  'real-prologue-then-xml-note.txt': ['device-fault', undefined, 0],
  'real-querygpu-one-gpu-lost.txt': ['device-fault', undefined, 0],
  'real-reset-inuse-gke.txt': ['refused'],
  'real-reset-inuse-migmanager.txt': ['refused'],
  'real-reset-notsupported-nvlink.txt': ['refused', undefined, 255],
  'real-reset-ok.txt': ['malformed', undefined, 0],
  'real-reset-primary.txt': ['error', undefined, 255],
  'real-singlegpu-lost.txt': ['device-fault', undefined, 6],
  'reset-handle-lost-535.274.02.txt': ['device-fault'],
  'reset-handle-resetrequired-535.274.02.txt': ['device-fault'],
  'reset-inuse-hopperpath-535.274.02.txt': ['refused'],
  'reset-inuse-legacypath-555.58.02.txt': ['refused'],
  'reset-lost-hopperpath-535.274.02.txt': ['device-fault'],
  'reset-lost-legacypath-555.58.02.txt': ['device-fault'],
  'reset-noperm-hopperpath-535.274.02.txt': ['not-permitted'],
  'reset-noperm-legacypath-555.58.02.txt': ['not-permitted'],
  'reset-notsupported-hopperpath-535.274.02.txt': ['refused'],
  'reset-notsupported-legacypath-555.58.02.txt': ['refused'],
  'reset-ok-hopperpath-535.274.02.txt': ['malformed'],
  'reset-unavailable-hopperpath-535.274.02.txt': ['refused'],
  'reset-unknown-legacypath-555.58.02.txt': ['device-fault'],
  'table-prop1-lost-535.274.02.txt': ['device-fault'],
};

describe.skipIf(!haveCaptures)('an error text of a real driver', () => {
  it('is in the table, whichever it is', () => {
    expect(captureNames('errors')).toEqual(Object.keys(VERDICTS).toSorted());
  });

  it.each(Object.entries(VERDICTS))('%s is named, and taken for no answer that it is not', (name, [code, answers, assumed]) => {
    const { stdout, exitCode } = recorded(name);
    const exit = exitCode ?? assumed ?? -1;
    expect(classifyFailure(exit, stdout, null)).toMatchObject({ code, why: expect.stringMatching(/^.{10,350}$/) });
    expect(parseSmiXml(stdout, exit).state).toBe(answers === 'xml' ? 'partial' : 'failed');
    expect(parseGpuIndex(stdout, exit).state).toBe('failed');
    expect(parseComputeApps(stdout, exit).state).toBe('failed');
    const list = parseList(stdout, exit);
    if (answers === 'list') expect(list.state).toBe(exit === 0 ? 'complete' : 'partial');
    else expect(list.state === 'failed' || list.value.gpus.length === 0).toBe(true);
  });

  it.each(['lost', 'noperm', 'notsupported', 'unknown'])('in the compute list (%s) makes both GPUs unknown', (kind) => {
    const { stdout, exitCode } = recorded(`computeapps-err-${kind}-555.58.02.txt`);
    // As it is without the column that holds names.
    const text = stdout.replace(/^([^,]*, [^,]*), [^,]*,/gm, '$1,');
    expect(parseComputeApps(text, exitCode ?? -1)).toMatchObject({ state: 'partial', value: { rows: [], unknown: [{ subject: A }, { subject: B }] } });
  });

  it('names the GPU that it is about', () => {
    expect(classifyFailure(255, recorded('qx-handle1-unknown-535.274.02.txt').stdout, null).why).toMatch(/^GPU 00000000:11:00\.0: Unable/);
  });

  it('after which the others are listed leaves them readable', () => {
    const rows = recorded('real-querygpu-one-gpu-lost.txt').stdout;
    expect(parseGpuIndex(rows.replace(/^0,/m, `${INDEX}0,`).replaceAll(/^(\d), (\S+), .*$/gm, `$1, GPU-0000000$1${A.slice(12)}, $2`).trimStart(), 0)).toMatchObject({
      state: 'partial', missing: [{ subject: '00000000:04:00.0' }], value: { rows: [0, 1, 2, 4, 5, 6, 7].map((index) => ({ index })) },
    });
  });
});

describe('a call that failed', () => {
  it.each([
    [2, 'refused'], [3, 'refused'], [4, 'not-permitted'], [6, 'no-devices'], [8, 'device-fault'], [9, 'no-driver'], [11, 'device-fault'], [12, 'no-driver'],
    [14, 'device-fault'], [15, 'device-fault'], [17, 'not-permitted'], [18, 'version-mismatch'], [19, 'refused'], [1, 'error'], [127, 'error'], [255, 'error'], [0, 'malformed'],
  ])('with exit %i and no text is "%s"', (exit, code) => {
    expect(classifyFailure(exit, '', null)).toEqual({ code, why: `nvidia-smi printed nothing (exit ${exit})` });
  });

  it.each([
    ['not-installed', 'not-installed'], ['not-permitted', 'not-permitted'], ['timeout', 'timeout'], ['hung', 'hung'], ['too-much-output', 'malformed'], ['signal', 'error'],
  ] as const)('for the child\'s problem "%s" is "%s", whatever was printed', (problem, code) => {
    expect(classifyFailure(null, fixture('535', 'qx.xml'), problem).code).toBe(code);
  });

  it('is told in one short line without control characters', () => {
    const { why } = classifyFailure(255, `\u001B[31mbad\u0007\tnews ${'x'.repeat(5000)}\nmore`, null);
    expect(why).toMatch(/^[\P{Cc}]{1,350}$/u);
  });
});
