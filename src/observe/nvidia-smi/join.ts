import type { DriverView, Gpu } from '../../model/device.ts';
import { observed, seen, type Gap, type Observed } from '../../model/observation.ts';
import type { ComputeApps } from './compute-apps.ts';
import type { GpuIndex } from './gpu-index.ts';
import type { SmiList } from './list.ts';
import { joinMig } from './mig-join.ts';
import { proveProcesses, strangers } from './occupancy.ts';
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
  const numbered = numberGpus(document.gpus, index);
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

function numberGpus(gpus: readonly Gpu[], index: Observed<GpuIndex>): { readonly gpus: readonly Gpu[]; readonly gaps: readonly Gap[] } {
  if (index.state === 'failed') return { gpus, gaps: [{ subject: '--query-gpu', why: `no GPU's index is known: ${index.why}` }] };
  const numbered = gpus.map((gpu) => {
    const row = index.value.rows.find(({ uuid, busId }) => uuid === gpu.uuid && busId === gpu.pciBusId);
    return { ...gpu, index: row?.index ?? null };
  });
  const gaps = numbered.filter((gpu) => gpu.index === null).map(({ pciBusId }) => ({ subject: pciBusId, why: '--query-gpu gives no index for it' }));
  return { gpus: numbered, gaps };
}
