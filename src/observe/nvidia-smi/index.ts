import type { ProcessUse } from '../../model/activity.ts';
import type { DriverView, ListedProcess } from '../../model/device.ts';
import { observed, type Observed } from '../../model/observation.ts';
import { ask, call, needed, type NvidiaSmi, orFailed } from './ask.ts';
import { COMPUTE_APPS_ARGS, parseComputeApps } from './compute-apps.ts';
import { listEach, readEach } from './each.ts';
import { GPU_INDEX_ARGS, type GpuIndex, parseGpuIndex } from './gpu-index.ts';
import { joinReads, type Reads } from './join.ts';
import { parseList } from './list.ts';
import { hasMig, isStable } from './mig-join.ts';
import { disagree } from './occupancy.ts';
import { parsePmon, PMON_ARGS } from './pmon.ts';
import { parseSmiXml, type SmiDocument } from './smi-xml.ts';

export type { NvidiaSmi } from './ask.ts';

/**
 * Everything that nvidia-smi says of the host, from `-L`, `-q -x`, `--query-gpu`, `--query-compute-apps`, and `-L` again
 * where MIG is on: one after the other, once each, and once more where they contradict each other. As soon as a call
 * does not come back the source has failed and no further call is made, as each might hang in the driver for good.
 * Where one bad GPU silences `-q -x` about all of them, the others are asked for one by one, if it is certain which they are.
 * Never throws for what nvidia-smi does.
 */
export async function observeDriver(smi: NvidiaSmi): Promise<Observed<DriverView>> {
  return orFailed(async () => {
    const first = await readRound(smi);
    return joinReads(isSettled(first) ? first : await readAgain(smi, first));
  });
}

/**
 * The driver's compute list alone, for a second look. In `missing`, `subject` is the UUID or the bus id of the GPU whose
 * list could not be read, or `gpu` where it is not said which; absence from the list proves nothing there.
 */
export async function observeListed(smi: NvidiaSmi): Promise<Observed<readonly ListedProcess[]>> {
  return orFailed(async () => {
    const apps = await ask(smi, COMPUTE_APPS_ARGS, parseComputeApps);
    if (apps.state === 'failed') return (await listEach(smi, apps)) ?? apps;
    return observed(apps.value.rows, apps.state === 'partial' ? apps.missing : []);
  });
}

/** What each process uses of its device, from `pmon`. `refused`: this driver or board cannot tell. */
export async function observeProcessUse(smi: NvidiaSmi): Promise<Observed<readonly ProcessUse[]>> {
  return orFailed(() => ask(smi, PMON_ARGS, parsePmon));
}

async function readRound(smi: NvidiaSmi): Promise<Reads> {
  const before = needed(await ask(smi, ['-L'], parseList));
  const { answer, early } = await readDocument(smi);
  const each = answer.state === 'failed' ? await readEach(smi, answer) : null;
  if (each !== null) return each;
  const document = needed(answer);
  const index = early ?? await ask(smi, GPU_INDEX_ARGS, parseGpuIndex);
  const apps = await ask(smi, COMPUTE_APPS_ARGS, parseComputeApps);
  const after = hasMig(document, before) ? await ask(smi, ['-L'], parseList) : null;
  return { before, document, index, apps, after };
}

interface Document {
  readonly answer: Observed<SmiDocument>;
  /** The answer to the next question; null: it was not put, as there is no document at all. */
  readonly early: Observed<GpuIndex> | null;
}

/**
 * The document. The next question is put before it is read, which takes about as long as an answer: still one call at a
 * time, and none after one that did not come back.
 */
async function readDocument(smi: NvidiaSmi): Promise<Document> {
  const { said, exitCode } = await call(smi, ['-q', '-x']);
  const asked = exitCode === 0 && said.includes('</nvidia_smi_log>') ? ask(smi, GPU_INDEX_ARGS, parseGpuIndex) : null;
  const [early, answer] = await Promise.all([asked, Promise.resolve().then(() => parseSmiXml(said, exitCode))]);
  return { answer, early };
}

/** Under MIG all of it, as the process rows speak of instances; else what changes from second to second. */
async function readAgain(smi: NvidiaSmi, first: Reads): Promise<Reads> {
  if (first.after !== null) return readRound(smi);
  const document = needed(await ask(smi, ['-q', '-x'], parseSmiXml));
  const apps = await ask(smi, COMPUTE_APPS_ARGS, parseComputeApps);
  return { ...first, document, apps };
}

function isSettled({ before, document, apps, after, each = false }: Reads): boolean {
  return each || ((after === null || isStable(before, after)) && !disagree(document, apps));
}
