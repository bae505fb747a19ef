import type { Gpu } from '../../model/device.ts';
import { observed, type Gap, type Observed } from '../../model/observation.ts';
import { known } from '../../model/reading.ts';
import { classifyFailure, malformed, refusable, Refusal } from './failure.ts';
import { readGpu, type GpuBlock } from './gpu.ts';
import { unknownList } from './process-list.ts';
import { asCount, readText } from './reading.ts';
import { gapsOf, parseRemarks, type Remark } from './remarks.ts';
import { quote, showName } from './text.ts';
import { readXml, type XmlElement, type XmlNode } from './xml.ts';

/** What `-q -x` alone says. Its process lists are not proven, and it has neither indices nor MIG UUIDs. */
export interface SmiDocument {
  readonly driverVersion: string | null;
  /** Null: the document does not say, so nobody knows whether it describes all. */
  readonly attachedGpus: number | null;
  readonly gpus: readonly Gpu[];
  /** Blocks whose UUID or bus id is an error text; `subject` is the bus id where there is one. */
  readonly uncertain: readonly Gap[];
  /** What was printed around the document. */
  readonly remarks: readonly Remark[];
}

/**
 * `nvidia-smi -q -x`. Failed unless it exited with 0 and printed one complete, well-formed document that does not
 * contradict itself; partial where it describes fewer GPUs than are attached or does not say how many are, or describes one
 * of them not for certain.
 */
export function parseSmiXml(stdout: string, exitCode: number): Observed<SmiDocument> {
  return refusable(() => {
    if (exitCode !== 0) throw new Refusal(classifyFailure(exitCode, stdout, null));
    const { root, lines } = readXml(stdout);
    const document = readDocument(root, parseRemarks(lines));
    return observed(document, [...missingFrom(document, []), ...processGaps(document.gpus)]);
  });
}

/**
 * What the document lacks. `named`: bus ids of attached GPUs according to the other calls; where they do not account for
 * all that is lacking, one gap named `gpu` stands for the rest.
 */
export function missingFrom(document: SmiDocument, named: readonly Gap[]): readonly Gap[] {
  const { gpus, uncertain, remarks, attachedGpus } = document;
  const described = new Set([...gpus.map(({ pciBusId }) => pciBusId), ...uncertain.map(({ subject }) => subject)]);
  const absentees = new Map([...named, ...gapsOf(remarks)].filter(({ subject }) => subject !== 'gpu' && !described.has(subject)).map((gap) => [gap.subject, gap]));
  const blocks = gpus.length + uncertain.length;
  const uncounted = attachedGpus === null ? 'it does not say how many GPUs are attached' : null;
  const lacking = (attachedGpus ?? blocks) - blocks - absentees.size;
  const why = uncounted ?? (lacking > 0 ? `${attachedGpus} GPUs are attached and ${blocks} described` : null);
  const others = gapsOf(remarks).filter(({ subject }) => subject === 'gpu' || described.has(subject));
  return [...uncertain, ...absentees.values(), ...others, ...(why === null ? [] : [{ subject: 'gpu', why }])];
}

/** GPUs whose process list is not known. */
export function processGaps(gpus: readonly Gpu[]): readonly Gap[] {
  return gpus.flatMap(({ pciBusId, processes }) => (processes.state === 'known' ? [] : [{ subject: pciBusId, why: `its processes: ${processes.why}` }]));
}

function readDocument(root: XmlElement, remarks: readonly Remark[]): SmiDocument {
  const blocks = ((root['gpu'] ?? []) as readonly XmlNode[]).map(readGpu);
  refuseTwins(blocks);
  const attachedGpus = readAttached(root);
  if (attachedGpus !== null && blocks.length > attachedGpus) malformed(`${attachedGpus} GPUs are attached and ${blocks.length} described`);
  if (blocks.length === 0 && (attachedGpus ?? 0) === 0) throw new Refusal({ code: 'no-devices', why: 'nvidia-smi describes no GPU' });
  const version = known(readText(root, 'driver_version'));
  return {
    driverVersion: version === null ? null : showName(version),
    attachedGpus,
    gpus: withoutTwinNodes(blocks.flatMap((block) => (block.certain ? [remarked(block.gpu, remarks)] : []))),
    uncertain: blocks.flatMap((block) => (block.certain ? [] : [{ subject: block.busId ?? 'gpu', why: block.why }])),
    remarks,
  };
}

function readAttached(root: XmlElement): number | null {
  const text = readText(root, 'attached_gpus');
  if (text.kind === 'absent') return null;
  return asCount(text) ?? malformed(`attached_gpus is no number: ${quote(JSON.stringify(root['attached_gpus']))}`);
}

function refuseTwins(blocks: readonly GpuBlock[]): void {
  const uuids = blocks.flatMap((block) => (block.certain ? [block.gpu.uuid] : []));
  const busIds = blocks.flatMap(({ busId }) => (busId === null ? [] : [busId]));
  if (new Set(uuids).size < uuids.length) malformed('two <gpu> blocks have the same UUID');
  if (new Set(busIds).size < busIds.length) malformed('two <gpu> blocks have the same PCI bus id');
}

/** Of two GPUs with the same device node, neither's is known: whoever holds it may hold either. */
function withoutTwinNodes(gpus: readonly Gpu[]): readonly Gpu[] {
  const times = Map.groupBy(gpus, ({ minorNumber }) => minorNumber);
  return gpus.map((gpu) => (times.get(gpu.minorNumber)?.length === 1 ? gpu : { ...gpu, minorNumber: null }));
}

/** The GPU with what nvidia-smi remarked on it; unless the remark is harmless, its process list is not to be trusted. */
export function remarked(gpu: Gpu, remarks: readonly Remark[]): Gpu {
  const own = remarks.filter(({ busId }) => busId === gpu.pciBusId);
  const grave = own.find(({ harmless }) => !harmless);
  return {
    ...gpu,
    faults: [...new Set([...gpu.faults, ...own.map(({ text }) => text)])],
    processes: grave === undefined ? gpu.processes : unknownList(grave.text),
  };
}
