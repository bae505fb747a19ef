import type { DriverView, Gpu } from '../../model/device.ts';
import { observed, seen, type Gap, type Observed } from '../../model/observation.ts';
import type { ComputeApps } from './compute-apps.ts';
import type { GpuIndex, IndexRow } from './gpu-index.ts';
import type { SmiList } from './list.ts';
import { joinMig } from './mig-join.ts';
import { proveProcesses, strangers } from './occupancy.ts';
import { unknownList } from './process-list.ts';
import { missingFrom, processGaps, remarked, type SmiDocument } from './smi-xml.ts';

/** The answers of one round of calls. */
export interface Reads {
  readonly before: SmiList;
  readonly document: SmiDocument;
  readonly index: Observed<GpuIndex>;
  readonly apps: Observed<ComputeApps>;
  /** The list once more; null: not asked, as there was no MIG. */
  readonly after: Observed<SmiList> | null;
  /** True: device by device, which is not done twice. */
  readonly each?: boolean;
}

/** One view out of all answers. What they do not say, or not alike, is missing from it by name. */
export function joinReads(reads: Reads): Observed<DriverView> {
  const { before, index, apps, after } = reads;
  const document = withRemarks(reads);
  const numbered = numberGpus(document.gpus, reads);
  const mig = joinMig(numbered.gpus, before, after);
  const gpus = proveProcesses({ ...document, gpus: mig.gpus }, apps);
  const value = seen(apps);
  return observed({ driverVersion: document.driverVersion, attachedGpus: document.attachedGpus, gpus }, [
    ...missingFrom(document, attachedBy(index)),
    ...unlisted(document, reads),
    ...numbered.gaps,
    ...mig.gaps,
    ...processGaps(gpus),
    ...(value === null ? [] : strangers(document, value)),
  ]);
}

/** A GPU that any of the calls could not open is not known, whatever the others say of it. */
function withRemarks({ document, before, index, apps }: Reads): SmiDocument {
  const further = [...before.remarks, ...(seen(index)?.remarks ?? []), ...(seen(apps)?.remarks ?? [])]
    .filter(({ text }) => !document.remarks.some((remark) => remark.text === text));
  return { ...document, remarks: [...document.remarks, ...further], gpus: document.gpus.map((gpu) => remarked(gpu, further)) };
}

function attachedBy(index: Observed<GpuIndex>): readonly Gap[] {
  const rows = seen(index)?.rows ?? [];
  return rows.flatMap(({ busId }) => (busId === null ? [] : [{ subject: busId, why: '--query-gpu lists it, -q -x does not describe it' }]));
}

/** GPUs that only one of the document and the list has. */
function unlisted(document: SmiDocument, { before, index }: Reads): readonly Gap[] {
  const described = new Set(document.gpus.map(({ uuid }) => uuid));
  const listed = new Set(before.gpus.map(({ uuid }) => uuid));
  // Those are named by their bus id already.
  const placed = new Set(seen(index)?.rows.filter(({ busId }) => busId !== null).map(({ uuid }) => uuid));
  const further = [...listed].filter((uuid) => uuid !== null && !described.has(uuid) && !placed.has(uuid));
  const fewer = before.whole ? document.gpus.filter(({ uuid }) => !listed.has(uuid)) : [];
  return [
    ...further.map((uuid) => ({ subject: uuid ?? 'gpu', why: '-L lists it, -q -x does not describe it' })),
    ...fewer.map(({ pciBusId }) => ({ subject: pciBusId, why: '-L does not list it' })),
  ];
}

interface Placed {
  readonly gpu: Gpu;
  /** Null: nothing is missing. */
  readonly why: string | null;
}

function numberGpus(gpus: readonly Gpu[], { index, before }: Reads): { readonly gpus: readonly Gpu[]; readonly gaps: readonly Gap[] } {
  const placed = gpus.map((gpu) => placeGpu(gpu, seen(index)?.rows ?? [], before));
  const gaps = placed.flatMap(({ gpu, why }) => (why === null ? [] : [{ subject: gpu.pciBusId, why }]));
  return { gpus: placed.map(({ gpu }) => gpu), gaps: index.state === 'failed' ? [{ subject: '--query-gpu', why: `no GPU's index is known: ${index.why}` }] : gaps };
}

/** Its number counts only where both that say it say the same: by it a container may hold the GPU. */
function placeGpu(gpu: Gpu, rows: readonly IndexRow[], list: SmiList): Placed {
  const own = rows.find(({ uuid, busId }) => uuid === gpu.uuid && busId === gpu.pciBusId);
  const doubt = own === undefined ? doubtAbout(gpu, rows, list) : null;
  if (doubt !== null) return { gpu: { ...gpu, processes: unknownList(doubt) }, why: doubt };
  const number = own?.index ?? null;
  if (number === null) return { gpu, why: '--query-gpu gives no index for it' };
  const other = list.gpus.find(({ uuid }) => uuid === gpu.uuid)?.index ?? number;
  return other === number ? { gpu: { ...gpu, index: number }, why: null } : { gpu, why: `its index is ${number} by --query-gpu and ${other} by -L` };
}

/** Is it the GPU that it says? What is known under one GPU's UUID must never let another be reset. Null: a second answer names it, too, and none says otherwise. */
function doubtAbout(gpu: Gpu, rows: readonly IndexRow[], list: SmiList): string | null {
  const other = rows.find(({ uuid, busId }) => (uuid === gpu.uuid && busId !== null) || (busId === gpu.pciBusId && uuid !== null));
  if (other !== undefined) return `-q -x says that ${gpu.uuid} is here, --query-gpu has ${other.uuid} at ${other.busId}`;
  if (list.gpus.some(({ uuid }) => uuid === gpu.uuid)) return null;
  return list.whole ? '-L does not list it' : 'neither -L, which broke off, nor --query-gpu names it';
}
