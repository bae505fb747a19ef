import { complete, observed, seen, type Gap, type Observed } from '../../model/observation.ts';
import type { ListedProcess } from '../../model/device.ts';
import { ask, type NvidiaSmi } from './ask.ts';
import { COMPUTE_APPS_ARGS, type ComputeApps, parseComputeApps } from './compute-apps.ts';
import type { Failure } from './failure.ts';
import { GPU_INDEX_ARGS, type GpuIndex, parseGpuIndex } from './gpu-index.ts';
import type { Reads } from './join.ts';
import { parseList, type SmiList } from './list.ts';
import { hasMig } from './mig-join.ts';
import { busIdIn, type Remark } from './remarks.ts';
import { parseSmiXml, type SmiDocument } from './smi-xml.ts';

/** Two full boards of an HGX tray and more; a bus that shows more is not asked one by one. */
const MOST_DEVICES = 32;

/**
 * Drivers up to 555 print no document at all where one GPU's handle cannot be had; with `-i` and a bus id the others still
 * answer (with a UUID they do not). Null, and the failure stands: it names no GPU, or the GPUs that answer and those that are
 * bad are not as
 * many as the driver says are attached, so which there are is not certain. All of it has one deadline more, that of a call.
 * @throws {Refusal} where a call does not come back.
 */
export async function readEach(smi: NvidiaSmi, failure: Failure): Promise<Reads | null> {
  const plan = planFor(smi, failure);
  if (plan === null) return null;
  const bad: Remark[] = [plan.bad];
  const documents: Described[] = [];
  for (const busId of plan.busIds) {
    const answer = await plan.ask(['-q', '-x', '-i', busId], parseSmiXml);
    if (answer === null) return null;
    const document = seen(answer);
    if (document !== null && document.gpus.length === 1 && document.gpus[0]?.pciBusId === busId) documents.push({ busId, document });
    else if (answer.state === 'failed' && answer.code === 'device-fault') bad.push({ busId, text: answer.why, harmless: false });
    else if (answer.state !== 'failed' || answer.code !== 'no-devices') return null;
  }
  const document = merge(documents, bad);
  return document === null ? null : finish(plan, documents.map(({ busId }) => busId), document);
}

/**
 * The compute lists of the others, in the same case. Whoever could not be asked is missing by bus id. Null: the failure
 * names no GPU, or nobody else is known.
 * @throws {Refusal} where a call does not come back.
 */
export async function listEach(smi: NvidiaSmi, failure: Failure): Promise<Observed<readonly ListedProcess[]> | null> {
  const plan = planFor(smi, failure);
  if (plan === null) return null;
  const rows: ListedProcess[] = [];
  const missing: Gap[] = [{ subject: plan.bad.busId ?? 'gpu', why: plan.bad.text }];
  for (const busId of plan.busIds) {
    const apps = await plan.ask([...COMPUTE_APPS_ARGS, '-i', busId], parseComputeApps);
    if (apps === null) return null;
    if (apps.state === 'failed') missing.push({ subject: busId, why: apps.why });
    else rows.push(...apps.value.rows);
    if (apps.state === 'partial') missing.push(...apps.missing);
  }
  return observed(rows, missing);
}

interface Described {
  readonly busId: string;
  readonly document: SmiDocument;
}

interface Plan {
  readonly bad: Remark;
  /** Of the other devices. */
  readonly busIds: readonly string[];
  /** Null: the time is up. */
  readonly ask: <T>(args: readonly string[], parse: (stdout: string, exitCode: number) => Observed<T>) => Promise<Observed<T> | null>;
}

function planFor(smi: NvidiaSmi, { code, why }: Failure): Plan | null {
  const bad = code === 'device-fault' ? busIdIn(why) : null;
  if (bad === null) return null;
  const busIds = [...new Set(smi.candidates?.() ?? [])].filter((busId) => busId !== bad).toSorted();
  if (busIds.length === 0 || busIds.length > MOST_DEVICES) return null;
  const until = performance.now() + smi.timeoutMs;
  return {
    bad: { busId: bad, text: why, harmless: false }, busIds,
    ask: async (args, parse) => {
      const timeoutMs = Math.floor(until - performance.now());
      return timeoutMs < 1 ? null : ask({ ...smi, timeoutMs }, args, parse);
    },
  };
}

/** One document out of those of single devices; null: they contradict each other, or do not add up. */
function merge(described: readonly Described[], bad: readonly Remark[]): SmiDocument | null {
  const [first] = described;
  const attached = first?.document.attachedGpus ?? null;
  const agree = described.every(({ document }) => document.attachedGpus === attached && document.driverVersion === first?.document.driverVersion);
  const uuids = new Set(described.flatMap(({ document }) => document.gpus.map(({ uuid }) => uuid)));
  // A driver may or may not count the bad ones; either way no other GPU is left.
  const addsUp = attached === described.length || attached === described.length + bad.length;
  if (first === undefined || !agree || !addsUp || uuids.size < described.length) return null;
  return {
    ...first.document,
    gpus: described.flatMap(({ document }) => document.gpus),
    uncertain: [],
    remarks: [...bad, ...described.flatMap(({ document }) => document.remarks)],
  };
}

async function finish(plan: Plan, busIds: readonly string[], document: SmiDocument): Promise<Reads | null> {
  const nothing: SmiList = { whole: false, gpus: [], remarks: [] };
  const lists = async (): Promise<SmiList | null> => mergeLists(await askEach(plan, busIds, ['-L'], parseList));
  const mig = hasMig(document, nothing);
  const before = mig ? await lists() : nothing;
  const index = await askEach(plan, busIds, GPU_INDEX_ARGS, parseGpuIndex);
  const apps = await askEach(plan, busIds, COMPUTE_APPS_ARGS, parseComputeApps);
  const after = mig ? await lists() : null;
  if (before === null || index === null || apps === null) return null;
  return { before, document, index: complete(mergeIndex(index)), apps: complete(mergeApps(apps, document)), after: after === null ? null : complete(after), each: true };
}

/** Null: the time was up before all had answered. */
async function askEach<T>(plan: Plan, busIds: readonly string[], args: readonly string[], parse: (stdout: string, exitCode: number) => Observed<T>): Promise<readonly Observed<T>[] | null> {
  const answers: Observed<T>[] = [];
  for (const busId of busIds) {
    const answer = await plan.ask([...args, '-i', busId], parse);
    if (answer === null) return null;
    answers.push(answer);
  }
  return answers;
}

function mergeLists(lists: readonly Observed<SmiList>[] | null): SmiList | null {
  const values = lists?.map(seen) ?? null;
  return values === null ? null : {
    whole: values.every((list) => list !== null && list.whole),
    gpus: values.flatMap((list) => list?.gpus ?? []),
    remarks: values.flatMap((list) => list?.remarks ?? []),
  };
}

function mergeIndex(answers: readonly Observed<GpuIndex>[]): GpuIndex {
  const values = answers.flatMap((answer) => seen(answer) ?? []);
  return { rows: values.flatMap(({ rows }) => rows), remarks: values.flatMap(({ remarks }) => remarks) };
}

/** A list that could not be read leaves its GPU's processes unknown. The answers are in the order of the document's GPUs. */
function mergeApps(answers: readonly Observed<ComputeApps>[], { gpus }: SmiDocument): ComputeApps {
  const values = answers.flatMap((answer) => seen(answer) ?? []);
  const failures = answers.flatMap((answer, at) => (answer.state === 'failed' ? [{ subject: gpus[at]?.uuid ?? 'gpu', why: answer.why }] : []));
  return {
    rows: values.flatMap(({ rows }) => rows),
    unknown: [...failures, ...values.flatMap(({ unknown }) => unknown)],
    unattributed: values.flatMap(({ unattributed }) => unattributed),
    remarks: values.flatMap(({ remarks }) => remarks),
  };
}
