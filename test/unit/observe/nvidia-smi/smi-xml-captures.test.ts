import { describe, expect, it } from 'vitest';
import { parseSmiXml, type SmiDocument } from '../../../../src/observe/nvidia-smi/smi-xml.ts';
import type { Observed } from '../../../../src/model/observation.ts';
import { known } from '../../../../src/model/reading.ts';
import { capture, captureNames, haveCaptures } from './captures.ts';

interface Expected {
  readonly driver: string | null;
  readonly attached: number;
  /** One a described GPU: processes (compute ones first), MIG devices, MIG mode, recovery. */
  readonly gpus: readonly string[];
  /** Subject of each gap; none: complete. */
  readonly missing?: readonly string[];
}

const eight = (line: string): readonly string[] => Array.from({ length: 8 }, () => line);
const swallowed: Expected = { driver: '555.58.02', attached: 2, gpus: ['0/0 proc, 0 mig, mig=false, recovery=none'], missing: ['gpu'] };

const EXPECTED: Readonly<Record<string, Expected | string>> = {
  'guance-gtx-8card.xml': { driver: '460.73.01', attached: 8, gpus: eight('1/1 proc, 0 mig, mig=unsupported, recovery=absent') },
  'k8stestinfra-hw-qx-a100.xml': { driver: '570.148.08', attached: 1, gpus: ['0/0 proc, 0 mig, mig=false, recovery=none'] },
  'k8stestinfra-hw-qx-h100.xml': { driver: '580.105.08', attached: 8, gpus: eight('0/0 proc, 0 mig, mig=false, recovery=none') },
  'k8stestinfra-hw-qx-t4.xml': { driver: '595.91.07', attached: 1, gpus: ['0/0 proc, 0 mig, mig=unsupported, recovery=none'] },
  // The second board's UUID is certain, but it is lost: what it runs is not known.
  'k8stestinfra-mocknvml-qx-gb200-lost.xml': {
    driver: '580.65.06', attached: 2, missing: ['00000000:0b:00.0'],
    gpus: ['0/0 proc, 0 mig, mig=false, recovery=unsupported', 'unknown proc, 0 mig, mig=false, recovery=unsupported'],
  },
  'openpai-out_of_order.xml': {
    driver: '430.26', attached: 4,
    gpus: ['1/1 proc, 0 mig, mig=absent, recovery=absent', '1/1 proc, 0 mig, mig=absent, recovery=absent', '0/0 proc, 0 mig, mig=absent, recovery=absent', '0/0 proc, 0 mig, mig=absent, recovery=absent'],
  },
  'openpai-retired_pages.xml': { driver: '410.104', attached: 16, gpus: ['0/0 proc, 0 mig, mig=absent, recovery=absent'], missing: ['gpu'] },
  'rai-example1.xml': { driver: '352.99', attached: 1, gpus: ['0/0 proc, 0 mig, mig=absent, recovery=absent'] },
  'stubnvml-processes-swallowed-computeapps-err-noperm-555.58.02.xml': swallowed,
  'stubnvml-procs-MCG-555.58.02.xml': { ...swallowed, gpus: ['2/2 proc, 0 mig, mig=false, recovery=none'] },
  'stubnvml-procs-escapes-555.58.02.xml': { ...swallowed, gpus: ['1/1 proc, 0 mig, mig=false, recovery=none'] },
  'stubnvml-procs-many200-555.58.02.xml': { ...swallowed, gpus: ['200/200 proc, 0 mig, mig=false, recovery=none'] },
  'stubnvml-prop1-lost-535.274.02.xml': { driver: '535.274.02', attached: 2, gpus: ['0/0 proc, 0 mig, mig=false, recovery=unsupported'], missing: ['00000000:11:00.0'] },
  'stubnvml-prop1-resetrequired-550.163.01.xml': { driver: '550.163.01', attached: 2, gpus: ['0/0 proc, 0 mig, mig=false, recovery=unsupported'], missing: ['00000000:11:00.0'] },
  'telegraf-a100-sxm4-v12.xml': { driver: '535.54.03', attached: 4, gpus: ['0/0 proc, 4 mig, mig=true, recovery=none'], missing: ['gpu'] },
  'telegraf-a10g.xml': { driver: '515.105.01', attached: 1, gpus: ['0/1 proc, 0 mig, mig=unsupported, recovery=absent'] },
  'telegraf-gtx-1070-ti.xml': 'a <gpu> block has no <processes>',
  'telegraf-rtx-3080-v12.xml': { driver: '536.40', attached: 1, gpus: ['0/5 proc, 0 mig, mig=unsupported, recovery=none'] },
  'telegraf-rtx-4000-sff-ada-v13.xml': { driver: '595.84', attached: 1, gpus: ['2/4 proc, 0 mig, mig=unsupported, recovery=none'] },
  'telegraf-tesla-t4.xml': { driver: '515.105.01', attached: 1, gpus: ['1/2 proc, 0 mig, mig=unsupported, recovery=absent'] },
};

function summarise(document: Observed<SmiDocument>): Expected | string {
  if (document.state === 'failed') return document.why;
  const { driverVersion, attachedGpus, gpus } = document.value;
  const lines = gpus.map(({ processes, migDevices, migCurrent, recovery }) => {
    const rows = processes.state === 'known' ? `${processes.processes.filter(({ type }) => type.includes('C')).length}/${processes.processes.length}` : 'unknown';
    return `${rows} proc, ${migDevices.length} mig, mig=${known(migCurrent) ?? migCurrent.kind}, recovery=${known(recovery) ?? recovery.kind}`;
  });
  return {
    driver: driverVersion,
    attached: attachedGpus ?? -1,
    gpus: lines,
    ...(document.state === 'partial' && { missing: document.missing.map(({ subject }) => subject) }),
  };
}

describe.skipIf(!haveCaptures)('documents of real drivers', () => {
  it('are all in the table', () => {
    expect(captureNames('xml')).toEqual(Object.keys(EXPECTED).toSorted());
  });

  it.each(Object.entries(EXPECTED))('%s is read for what it is', (name, expected) => {
    expect(summarise(parseSmiXml(capture(`xml/${name}`), 0))).toEqual(expected);
  });

  it('is read the same whether or not what nobody needs was cut out of it', () => {
    const text = capture('xml/k8stestinfra-hw-qx-h100.xml');
    // One element that does not belong in the block keeps it from being cut.
    const uncut = text.replaceAll('<supported_clocks>', '<supported_clocks><other>1</other>');
    expect(uncut).not.toBe(text);
    expect(parseSmiXml(uncut, 0)).toEqual(parseSmiXml(text, 0));
  });

  it('tells the values of a board from those that it does not have', () => {
    const [gpu] = documentOf('k8stestinfra-hw-qx-a100.xml').gpus;
    expect(gpu).toMatchObject({
      pciBusId: '00000000:06:00.0',
      minorNumber: 0,
      name: 'NVIDIA A100-SXM4-40GB',
      totalMiB: { kind: 'value', value: 40960 },
      powerLimitW: { kind: 'value', value: 400 },
      persistence: { kind: 'value', value: true },
      displayActive: { kind: 'value', value: false },
      repairPending: { kind: 'value', value: false },
      remapFailed: { kind: 'value', value: false },
      faults: [],
    });
  });

  it('keeps the order of the document and the minor numbers of the boards apart', () => {
    expect(documentOf('openpai-out_of_order.xml').gpus.map(({ minorNumber }) => minorNumber)).toEqual([1, 2, 3, 0]);
  });

  it('sees a page retirement that waits for a reset', () => {
    expect(documentOf('openpai-retired_pages.xml').gpus[0]?.repairPending).toEqual({ kind: 'value', value: true });
  });

  it('sees a failed and a waiting row remapping', () => {
    expect(documentOf('k8stestinfra-mocknvml-qx-gb200-lost.xml').gpus[0]?.remapFailed).toEqual({ kind: 'value', value: true });
    expect(documentOf('stubnvml-procs-MCG-555.58.02.xml').gpus[0]?.repairPending).toEqual({ kind: 'value', value: true });
  });

  it('reads the driver\'s types of process', () => {
    expect(rowsOf('stubnvml-procs-MCG-555.58.02.xml').map(({ type }) => type)).toContain('M+C+G');
    expect(rowsOf('telegraf-rtx-4000-sff-ada-v13.xml').map(({ type }) => type)).toEqual(['G', 'G', 'C', 'C+G']);
  });

  it('resolves what was escaped in a name, once', () => {
    expect(rowsOf('stubnvml-procs-escapes-555.58.02.xml').map(({ name }) => name)).toEqual(['python "a, b" <x> & y']);
  });
});

function documentOf(name: string): SmiDocument {
  const document = parseSmiXml(capture(`xml/${name}`), 0);
  if (document.state === 'failed') throw new Error(document.why);
  return document.value;
}

function rowsOf(name: string) {
  const list = documentOf(name).gpus[0]?.processes;
  return list?.state === 'known' ? list.processes : [];
}
