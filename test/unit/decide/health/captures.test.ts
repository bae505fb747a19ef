import { describe, expect, it } from 'vitest';
import { defaultConfig } from '../../../../src/config/defaults.ts';
import { assess, type Assessment } from '../../../../src/decide/assess.ts';
import { observationFindings } from '../../../../src/decide/findings.ts';
import { defaultHealthRules, healthFactsOf } from '../../../../src/decide/health/facts.ts';
import { learnHealth } from '../../../../src/decide/health/marks.ts';
import type { Gpu } from '../../../../src/model/device.ts';
import { emptyHistory, type History } from '../../../../src/model/history.ts';
import { complete } from '../../../../src/model/observation.ts';
import type { Snapshot } from '../../../../src/model/snapshot.ts';
import { parseSmiXml } from '../../../../src/observe/nvidia-smi/smi-xml.ts';
import { policyOf } from '../../../property/rules.ts';
import { capture, captureNames, haveCaptures } from '../../observe/nvidia-smi/captures.ts';

const off = (...busIds: readonly string[]): Readonly<Record<string, readonly string[]>> => Object.fromEntries(busIds.map((busId) => [busId, ['gpu.persistence.off']]));
const PARTIAL = ['source.nvidia-smi.partial'];
const STUB = { host: PARTIAL, '00000000:10:00.0': ['gpu.row_remap.pending'] };

/**
 * Exactly what each document of a real machine gives, by bus id (`host`: no device is named); a text: why it is refused.
 * Among those that give nothing: boards at x8, at generation 1 when idle, with 150 replays.
 */
const EXPECTED: Readonly<Record<string, Readonly<Record<string, readonly string[]>> | string>> = {
  'guance-gtx-8card.xml': off('00000000:00:0d.0', '00000000:00:0e.0', '00000000:00:0f.0', '00000000:00:10.0', '00000000:00:11.0', '00000000:00:12.0', '00000000:00:13.0', '00000000:00:14.0'),
  'k8stestinfra-hw-qx-a100.xml': {},
  'k8stestinfra-hw-qx-h100.xml': {},
  'k8stestinfra-hw-qx-t4.xml': {},
  'k8stestinfra-mocknvml-qx-gb200-lost.xml': { host: PARTIAL, '00000000:0a:00.0': ['gpu.row_remap.failed'], '00000000:0b:00.0': ['gpu.fault', 'gpu.processes.unknown'] },
  'openpai-out_of_order.xml': off('00001580:00:00.0', '00002df7:00:00.0', '00004968:00:00.0', '0000f8d6:00:00.0'),
  'openpai-retired_pages.xml': { host: PARTIAL, '00000000:34:00.0': ['gpu.retired_pages.pending'] },
  'rai-example1.xml': {},
  'stubnvml-processes-swallowed-computeapps-err-noperm-555.58.02.xml': STUB,
  'stubnvml-procs-MCG-555.58.02.xml': STUB,
  'stubnvml-procs-escapes-555.58.02.xml': STUB,
  'stubnvml-procs-many200-555.58.02.xml': STUB,
  'stubnvml-prop1-lost-535.274.02.xml': STUB,
  'stubnvml-prop1-resetrequired-550.163.01.xml': STUB,
  'telegraf-a100-sxm4-v12.xml': { host: PARTIAL, ...off('00000000:01:00.0') },
  'telegraf-a10g.xml': off('00000000:00:1e.0'),
  'telegraf-gtx-1070-ti.xml': 'a <gpu> block has no <processes>',
  'telegraf-rtx-3080-v12.xml': {},
  'telegraf-rtx-4000-sff-ada-v13.xml': {},
  'telegraf-tesla-t4.xml': off('00000000:00:1e.0'),
};

const NOW = Date.UTC(2026, 10, 22, 9, 5);
const HOUR = 3_600_000;

const policy = policyOf(defaultConfig());

/** What such a document is judged by on an otherwise empty host. Null: it is refused. */
function judged(xml: string, history: History, takenAt: number): { readonly assessment: Assessment; readonly gpus: readonly Gpu[] } | null {
  const seen = parseSmiXml(xml, 0);
  if (seen.state === 'failed') return null;
  const value = { driverVersion: seen.value.driverVersion, attachedGpus: seen.value.attachedGpus, gpus: seen.value.gpus };
  const snapshot: Snapshot = {
    host: 'gpu01', takenAt,
    driver: seen.state === 'complete' ? complete(value) : { state: 'partial', value, missing: seen.missing },
    processes: complete({ bootId: 'b', ownPids: [], listed: [], holders: [], shims: [] }),
    engine: complete({ kind: 'docker', engineId: 'e', containers: [], answers: [] }),
  } as unknown as Snapshot;
  return { assessment: assess(snapshot, history, policy), gpus: value.gpus };
}

function findingsIn(xml: string, history: History, takenAt = NOW): Readonly<Record<string, readonly string[]>> | string {
  const look = judged(xml, history, takenAt);
  if (look === null) { const refused = parseSmiXml(xml, 0); return refused.state === 'failed' ? refused.why : ''; }
  const busIds = new Map(look.gpus.map(({ uuid, pciBusId }) => [uuid, pciBusId]));
  const groups = Map.groupBy(observationFindings(look.assessment, policy), ({ subject }) => (subject.gpu === undefined ? 'host' : (busIds.get(subject.gpu) ?? subject.gpu)));
  return Object.fromEntries([...groups].map(([where, mine]) => [where, [...new Set(mine.map(({ id }) => id))]]));
}

const fresh: History = { ...emptyHistory, engineId: 'e' };

/** The ledger after so many looks at the same document, half an hour apart. */
function afterLooks(xml: string, looks: number): History {
  let history = fresh;
  for (let n = looks; n > 0; n--) {
    const look = judged(xml, history, NOW - n * HOUR / 2);
    if (look === null) return history;
    const { marks, memory, baselines } = learnHealth(look.gpus.map((gpu) => healthFactsOf(gpu, look.assessment, defaultHealthRules)), policy.toleranceMiB);
    history = { ...history, health: { marks, memory }, baselines };
  }
  return history;
}

describe.skipIf(!haveCaptures)('a document of a real machine', () => {
  it('has its row in the table, each of them', () => {
    expect(captureNames('xml')).toEqual(Object.keys(EXPECTED));
  });

  it.each(Object.entries(EXPECTED))('gives exactly its findings at the first look: %s', (name, expected) => {
    expect(findingsIn(capture(`xml/${name}`), fresh)).toEqual(expected);
  });

  it.each(Object.entries(EXPECTED))('gives the same after eight looks that found it so: %s', (name, expected) => {
    const xml = capture(`xml/${name}`);
    expect(findingsIn(xml, afterLooks(xml, 8))).toEqual(expected);
  });
});

describe.skipIf(!haveCaptures)('a board that a document shows in order', () => {
  const learned = (name: string): { readonly xml: string; readonly history: History } => { const xml = capture(`xml/${name}`); return { xml, history: afterLooks(xml, 8) }; };

  it.each([
    ['k8stestinfra-hw-qx-h100.xml', '00000000:53:00.0', '<replay_counter>150<', '<replay_counter>151<', 'gpu.pcie.replay'],
    ['k8stestinfra-hw-qx-h100.xml', '00000000:53:00.0', '<current_link_width>16x<', '<current_link_width>8x<', 'gpu.pcie.width'],
    ['k8stestinfra-hw-qx-h100.xml', '00000000:53:00.0', '<dram_uncorrectable>0<', '<dram_uncorrectable>1<', 'gpu.ecc.uncorrectable'],
    ['k8stestinfra-hw-qx-t4.xml', '00000000:00:1e.0', '<current_link_width>8x<', '<current_link_width>4x<', 'gpu.pcie.width'],
    ['k8stestinfra-mocknvml-qx-gb200-lost.xml', '00000000:0a:00.0', '<current_link_gen>6<', '<current_link_gen>5<', 'gpu.pcie.gen'],
  ])('is found out when it changes for the worse: %s %s', (name, busId, before, after, id) => {
    const { xml, history } = learned(name);
    expect(xml).toContain(before);
    expect(Object(findingsIn(xml.replace(before, after), history))[busId]).toContain(id);
  });

  it.each([
    ['telegraf-rtx-4000-sff-ada-v13.xml', '<current_link_gen>1<', '<current_link_gen>4<'],
    ['k8stestinfra-hw-qx-h100.xml', '<replay_counter>150<', '<replay_counter>0<'],
    ['k8stestinfra-hw-qx-a100.xml', '<performance_state>P0<', '<performance_state>P8<'],
  ])('is no finding when it only wakes up, begins to count anew or falls asleep: %s', (name, before, after) => {
    const { xml, history } = learned(name);
    expect(xml).toContain(before);
    expect(findingsIn(xml.replace(before, after), history)).toEqual(EXPECTED[name]);
  });

  it('that never ran at more than generation 5 of 6 is in order', () => {
    const xml = capture('xml/k8stestinfra-mocknvml-qx-gb200-lost.xml').replaceAll('<current_link_gen>6<', '<current_link_gen>5<');
    expect(findingsIn(xml, afterLooks(xml, 8))).toEqual(EXPECTED['k8stestinfra-mocknvml-qx-gb200-lost.xml']);
  });
});
