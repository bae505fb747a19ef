import { ownerOf, typeOf } from '../../config/owner.ts';
import { type ShownValue, showConfig } from '../../config/show.ts';
import type { LoadedConfig } from '../../config/types.ts';
import type { Assessment } from '../../decide/assess.ts';
import { resolveReference } from '../../decide/device-reference.ts';
import { inventoryNamed, lostNamed } from '../../decide/inventory.ts';
import type { Container, InspectedContainer } from '../../model/container.ts';
import type { Decision } from '../../model/decision.ts';
import { ExitCode, GpuctlError } from '../../model/errors.ts';
import type { Finding } from '../../model/finding.ts';
import { seen } from '../../model/observation.ts';
import { readUsers } from '../../observe/users.ts';
import { decideAll } from '../../passes/all-rounds.ts';
import { type DeviceMemory, deviceMemory } from '../../passes/device-memory.ts';
import type { Pass } from '../../passes/pass.ts';
import { observe } from '../../passes/pass.ts';
import { type DeviceReport, healthReport, type PassReport } from '../../passes/report.ts';
import { type ContainerOutlook, describing, outlookParts } from '../../passes/container-outlook.ts';
import { reportPass } from '../pass-command.ts';
import { renderExplanation } from '../render/explanation.ts';
import { colours, renderJson } from '../render/text.ts';
import type { Command } from '../run.ts';

/** What `explain` tells; plain JSON, a contract. */
export interface Explanation {
  readonly schema: 1;
  readonly host: string;
  readonly at: string;
  readonly observed: PassReport['observed'];
  readonly subject: Subject;
  /** Null: it is no device. */
  readonly device: DeviceReport | null;
  /** What the ledger remembers of the device; null: it is no device. */
  readonly memory: DeviceMemory | null;
  /** Null: it is no container, or it could not be inspected. */
  readonly outlook: ContainerOutlook | null;
  /** The effective limits of the container and where each comes from; null: it is none. */
  readonly limits: readonly ShownValue[] | null;
  /** In the order of the rounds. */
  readonly decisions: readonly Decision[];
  readonly findings: readonly Finding[];
}

export type Subject =
  | { readonly kind: 'device'; readonly uuid: string; readonly mig: string | null }
  | { readonly kind: 'container'; readonly id: string; readonly name: string; readonly state: string; readonly owner: string | null; readonly owner_by: string | null; readonly type: string | null }
  | { readonly kind: 'process'; readonly pid: number };

/** `gpuctl explain`: every decision about one device, container or process, from a fresh look; nothing is done. */
export function explainCommand(reference: string): Command {
  return async (loaded, globals) => {
    let part: Pick<Explanation, 'subject' | 'outlook' | 'limits'> | null = null;
    let looked: Pass | null = null;
    const story = async (pass: Pass): Promise<void> => {
      part = await explainSubject(reference, { pass, assessment: await observe(pass), loaded });
      await decideAll(pass);
      looked = pass;
    };
    const report = await reportPass({ job: 'status', story, acts: false, records: false, devices: [], asks: false }, loaded, globals);
    if (part === null) throw new TypeError('the story did not run');
    const explanation = explanationOf(report, part, looked);
    process.stdout.write(globals.json === true ? renderJson(explanation) : renderExplanation(explanation, colours(globals)));
    return report.observed.nvidia_smi === 'failed' || report.observed.engine === 'failed' ? ExitCode.notObserved : ExitCode.ok;
  };
}

interface Look {
  readonly pass: Pass;
  readonly assessment: Assessment;
  readonly loaded: LoadedConfig;
}

/** A device, then a container, then a process: an index of a device is never a pid worth asking about. */
async function explainSubject(reference: string, look: Look): Promise<Pick<Explanation, 'subject' | 'outlook' | 'limits'>> {
  const { gpus, snapshot, history } = look.assessment;
  const nothing = { outlook: null, limits: null };
  const devices = resolveReference(reference, gpus);
  const [device] = devices;
  if (device !== undefined && devices.length === 1) return { ...nothing, subject: { kind: 'device', uuid: device.gpuUuid, mig: device.migUuid } };
  const lost = lostNamed(reference, history.inventory ?? [], snapshot.driver) ?? (snapshot.driver.state === 'failed' ? inventoryNamed(reference, history.inventory ?? []) : null);
  if (lost !== null) return { ...nothing, subject: { kind: 'device', uuid: lost.gpuUuid, mig: null } };
  const container = containerNamed(reference, seen(snapshot.engine)?.containers ?? []);
  if (container !== null) return explainContainer(container, look);
  if (/^[1-9]\d{0,9}$/.test(reference) && (isListed(Number(reference), gpus) || isThere(Number(reference)))) return { ...nothing, subject: { kind: 'process', pid: Number(reference) } };
  const hint = snapshot.engine.state === 'failed' ? `the engine did not answer (${snapshot.engine.why}), so a container could not be looked for` : 'name a GPU (index, UUID, bus id), a container (name, id) or a pid';
  throw new GpuctlError(`${JSON.stringify(reference)} is no device, container or process of this host`, { code: 'no-such-thing', exitCode: snapshot.engine.state === 'failed' ? ExitCode.notObserved : ExitCode.usage, hint });
}

function isListed(pid: number, gpus: Assessment['gpus']): boolean {
  return gpus.some(({ processes }) => processes.state === 'known' && processes.processes.some((row) => row.pid === pid));
}

/** Signal 0 sends nothing: it asks whether there is such a process, whoever may see it. */
function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

function containerNamed(reference: string, containers: readonly Container[]): Container | null {
  const exact = containers.find((each) => each.name === reference || each.id === reference);
  const starting = reference.length < 4 ? [] : containers.filter((each) => each.id.startsWith(reference));
  return exact ?? (starting.length === 1 ? (starting[0] ?? null) : null);
}

async function explainContainer(container: Container, { pass, assessment, loaded }: Look): Promise<Pick<Explanation, 'subject' | 'outlook' | 'limits'>> {
  const { id, name, state } = container;
  if (!container.inspected) return { subject: { kind: 'container', id, name, state, owner: null, owner_by: null, type: null }, outlook: null, limits: null };
  const users = readUsers();
  const { owner, source } = ownerOf(container, loaded.config, users.nameOf);
  const type = typeOf(container, loaded.config);
  const limits = showConfig(loaded, { owner, type, unixGroups: owner === null ? [] : users.groupsOf(owner) }).values;
  return { subject: { kind: 'container', id, name, state, owner, owner_by: source, type }, limits, outlook: await outlookOf(container, pass, assessment) };
}

async function outlookOf(container: InspectedContainer, { parts }: Pass, assessment: Assessment): Promise<ContainerOutlook | null> {
  const outlook = outlookParts(parts);
  return outlook === null ? null : describing(assessment, outlook, parts.clock.now())(container);
}

function explanationOf(report: PassReport, part: Pick<Explanation, 'subject' | 'outlook' | 'limits'>, pass: Pass | null): Explanation {
  const { subject } = part;
  return {
    schema: 1, host: report.host, at: report.ended_at, observed: report.observed, ...part,
    device: subject.kind === 'device' ? deviceOf(subject.uuid, report, pass) : null,
    memory: subject.kind === 'device' && pass !== null ? deviceMemory(pass, subject.uuid) : null,
    decisions: report.decisions.filter((decision) => isAbout(decision, subject)),
    findings: report.findings.filter((finding) => concerns(finding, subject)),
  };
}

/** With what each check says of it; null: it was not seen. */
function deviceOf(uuid: string, { devices }: PassReport, pass: Pass | null): DeviceReport | null {
  const [device, gpu, latest] = [devices.find((each) => each.uuid === uuid), pass?.latest?.gpus.find((each) => each.uuid === uuid), pass?.latest];
  if (device === undefined) return null;
  return pass === null || gpu === undefined || latest === undefined || latest === null ? device : { ...device, ...healthReport(gpu, latest, pass.parts.policy) };
}

function isAbout({ target }: Decision, subject: Subject): boolean {
  switch (subject.kind) {
    case 'process': return target.kind === 'process' && target.pid === subject.pid;
    case 'container': return 'containerId' in target && target.containerId === subject.id;
    case 'device':
      if (target.kind === 'gpu') return target.uuid === subject.uuid;
      if (target.kind === 'process') return target.gpuUuids.includes(subject.uuid);
      return target.kind === 'allocation' && target.gpuUuid === subject.uuid && (subject.mig === null || target.migUuid === subject.mig);
  }
}

/** A source that failed concerns everybody, and so does the driver. */
function concerns({ id, subject: { gpu, container, pid } }: Finding, subject: Subject): boolean {
  if (id.startsWith('source.') || id.startsWith('driver.')) return true;
  switch (subject.kind) {
    case 'process': return pid === subject.pid;
    case 'container': return container === subject.id;
    case 'device': return gpu === subject.uuid;
  }
}
