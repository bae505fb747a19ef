import { runChild } from '../../callout/child.ts';
import type { DriverView, ListedProcess } from '../../model/device.ts';
import { failed, observed, type Observed } from '../../model/observation.ts';
import { COMPUTE_APPS_ARGS, parseComputeApps } from './compute-apps.ts';
import { classifyFailure, Refusal } from './failure.ts';
import { GPU_INDEX_ARGS, parseGpuIndex } from './gpu-index.ts';
import { joinReads, type Reads } from './join.ts';
import { parseList } from './list.ts';
import { hasMig, isStable } from './mig-join.ts';
import { disagree } from './occupancy.ts';
import { parseSmiXml, type SmiDocument } from './smi-xml.ts';

/** Where nvidia-smi is (a path, or a name on PATH), and the deadline of each single call. */
export interface NvidiaSmi {
  readonly path: string;
  readonly timeoutMs: number;
}

type Parser<T> = (stdout: string, exitCode: number) => Observed<T>;

/**
 * Everything that nvidia-smi says of the host, from `-L`, `-q -x`, `--query-gpu`, `--query-compute-apps`, and `-L` again
 * where MIG is on: one after the other, once each, and once more where they contradict each other. As soon as a call
 * does not come back the source has failed and no further call is made, as each might hang in the driver for good.
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
    return apps.state === 'failed' ? apps : observed(apps.value.rows, apps.state === 'partial' ? apps.missing : []);
  });
}

async function readRound(smi: NvidiaSmi): Promise<Reads> {
  const before = needed(await ask(smi, ['-L'], parseList));
  const document = await readDocument(smi);
  const index = await ask(smi, GPU_INDEX_ARGS, parseGpuIndex);
  const apps = await ask(smi, COMPUTE_APPS_ARGS, parseComputeApps);
  const after = hasMig(document, before) ? await ask(smi, ['-L'], parseList) : null;
  return { before, document, index, apps, after };
}

/** Under MIG all of it, as the process rows speak of instances; else what changes from second to second. */
async function readAgain(smi: NvidiaSmi, first: Reads): Promise<Reads> {
  if (first.after !== null) return readRound(smi);
  const document = await readDocument(smi);
  const apps = await ask(smi, COMPUTE_APPS_ARGS, parseComputeApps);
  return { ...first, document, apps };
}

async function readDocument(smi: NvidiaSmi): Promise<SmiDocument> {
  return needed(await ask(smi, ['-q', '-x'], parseSmiXml));
}

function isSettled({ before, document, apps, after }: Reads): boolean {
  return (after === null || isStable(before, after)) && !disagree(document, apps);
}

/** @throws {Refusal} where nvidia-smi did not exit by itself: the one case that ends the source at once. */
async function ask<T>(smi: NvidiaSmi, args: readonly string[], parse: Parser<T>): Promise<Observed<T>> {
  const { exitCode, stdout, stderr, problem } = await runChild({ file: smi.path, args, timeoutMs: smi.timeoutMs });
  // nvidia-smi itself writes its errors to stdout; the dynamic loader, say, does not.
  const said = stdout === '' && exitCode !== 0 ? stderr : stdout;
  if (problem !== null || exitCode === null) throw new Refusal(classifyFailure(exitCode, said, problem));
  return parse(said, exitCode);
}

function needed<T>(answer: Observed<T>): T {
  if (answer.state === 'failed') throw new Refusal(answer);
  return answer.value;
}

async function orFailed<T>(read: () => Promise<Observed<T>>): Promise<Observed<T>> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof Refusal) return failed(error.code, error.message);
    throw error;
  }
}
