import type { Decision, Outcome } from '../model/decision.ts';
import { isLive } from '../model/container.ts';
import type { Gpu } from '../model/device.ts';
import type { Subject } from '../model/finding.ts';
import { HEALTH_CHECKS } from '../model/health-checks.ts';
import { type Observed, seen } from '../model/observation.ts';
import type { ReasonCode } from '../model/reason.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { CheckResult } from './health.ts';

/** What one pass has seen and decided, as far as it tells whether a condition could have been seen. */
export interface Looked {
  readonly job: string;
  /** UUIDs of the GPUs that were asked for; null: all. */
  readonly selected: ReadonlySet<string> | null;
  /** The latest look; null: there was none. */
  readonly snapshot: Snapshot | null;
  /** UUIDs of the GPUs that this host is known to have; null: nobody keeps an inventory. */
  readonly inventory: ReadonlySet<string> | null;
  readonly decisions: readonly Decision[];
  readonly outcomes: readonly Outcome[];
  /** What a check of the health of a device said; null: the device was not seen, or there is no such check. */
  readonly checked: (gpuUuid: string, id: string) => CheckState | null;
}

/** What one check said of one device, in a word. */
export type CheckState = CheckResult['verdict']['state'];

/** A look at the host, of a pass that had one. */
export type Look = Looked & { readonly snapshot: Snapshot };

/** How long a kind of finding lasts. */
export interface ConditionKind {
  /** Jobs whose passes look for it; `same`: each job that saw it must see it gone. */
  readonly jobs: readonly string[] | 'same' | 'any';
  /** For people: what must have been seen. */
  readonly when: string;
  /** Would this pass have seen it, had it still been there? */
  readonly couldSee: (look: Look, subject: Subject, id: string) => boolean;
}

/** These judge every device. */
const DEVICE_JOBS: readonly string[] = ['health-check', 'release-stale'];

const processes: ConditionKind = { jobs: DEVICE_JOBS, when: 'the process list of the device, /proc and the engine are seen completely', couldSee: canSeeProcesses };
const container: ConditionKind = { jobs: 'same', when: 'the containers are seen completely, and this one is gone, stopped or judged', couldSee: couldJudge };
/** From the ledger itself, which every pass reads. */
const remembered: ConditionKind = { jobs: 'any', when: 'the ledger says so', couldSee: () => true };
const kernelLog: ConditionKind = { jobs: 'any', when: 'the kernel log can be read and the boot is known; a reset, a reboot or time settles it', couldSee: ({ snapshot }) => snapshot.kernelLog?.state !== 'failed' && snapshot.processes.state !== 'failed' };
const device: ConditionKind = { jobs: DEVICE_JOBS, when: 'the device is seen', couldSee: (look, { gpu }) => (gpu === undefined ? look.snapshot.driver.state === 'complete' : deviceIn(look, gpu) !== null) };

/**
 * Which findings are conditions: those of the checks of a device's health, and the ids here, by the longest that fits (`.*`
 * at the end: all below). Every other finding
 * is told by the pass that has it and forgotten: a process that belongs to somebody else, a question that could not be
 * answered, an act that failed and is tried again. A finding for information alone (`info`) never is one.
 */
export const CONDITION_KINDS: Readonly<Record<string, ConditionKind>> = {
  'source.nvidia-smi.*': source('nvidia-smi', (snapshot) => snapshot.driver),
  'source.engine.*': source('the engine', (snapshot) => snapshot.engine),
  'source.processes.*': source('/proc', (snapshot) => snapshot.processes),
  // Open files are part of it, and only some passes ask for them.
  'source.processes.partial': { jobs: 'any', when: '/proc answers, and it was asked who has a device node open', couldSee: ({ snapshot }) => (seen(snapshot.processes)?.holders ?? null) !== null },
  'source.kernel-log.*': { jobs: 'any', when: 'the kernel log can be read', couldSee: ({ snapshot }) => snapshot.kernelLog !== undefined && snapshot.kernelLog.state !== 'failed' },
  'gpu.*': device,
  'gpu.lost': device,
  'gpu.unlisted': { jobs: DEVICE_JOBS, when: 'nvidia-smi answers completely and the PCI bus can be read', couldSee: ({ snapshot }) => snapshot.driver.state === 'complete' && (snapshot.kernel?.pciGpus ?? null) !== null },
  'gpu.quarantined': remembered,
  'gpu.reset.*': remembered,
  'gpu.xid.*': kernelLog,
  'nvswitch.sxid.*': kernelLog,
  'driver.hung': { jobs: 'any', when: 'nvidia-smi answers', couldSee: ({ snapshot }) => snapshot.driver.state !== 'failed' },
  'driver.mismatch': { jobs: 'any', when: 'nvidia-smi answers, and the version of the module is known', couldSee: ({ snapshot }) => snapshot.driver.state !== 'failed' && (snapshot.kernel?.moduleVersion ?? null) !== null },
  'host.clock.*': remembered,
  'gpu.allocation.conflict': processes,
  'gpu.dirty': { jobs: DEVICE_JOBS, when: 'the device is judged clean, was reset, or is dirty in another way', couldSee: isClean },
  'gpu.dirty.*': { jobs: DEVICE_JOBS, when: 'the device is judged clean, was reset, or is dirty in another way', couldSee: isClean },
  'gpu.orphan': processes,
  'gpu.ghost': processes,
  'gpu.mps_client': processes,
  'process.stuck': processes,
  'process.zombie': processes,
  'container.protected.past_limit': container,
  'container.dead': container,
};

/** A check that says nothing has not found it gone. One that an admin switched off has: nobody is to be told of it any more. */
const check: ConditionKind = { jobs: DEVICE_JOBS, when: 'the check of that name finds the device in order, or is switched off', couldSee: (look, { gpu }, id) => {
  const state = deviceIn(look, gpu) === null || gpu === undefined ? null : look.checked(gpu, id);
  return state === 'ok' || state === 'off';
} };

const CHECKS: ReadonlySet<string> = new Set(HEALTH_CHECKS.map(({ id }) => id));

/** Null: findings of this id are no conditions. */
export function conditionKindOf(id: string): ConditionKind | null {
  if (CHECKS.has(id)) return check;
  const parts = id.split('.');
  const patterns = parts.map((_, at) => `${parts.slice(0, parts.length - at - 1).join('.')}.*`);
  const found = [id, ...patterns].find((pattern) => Object.hasOwn(CONDITION_KINDS, pattern));
  return found === undefined ? null : (CONDITION_KINDS[found] ?? null);
}

function source(name: string, of: (snapshot: Snapshot) => Observed<unknown>): ConditionKind {
  return { jobs: 'any', when: `${name} answers`, couldSee: ({ snapshot }) => of(snapshot).state !== 'failed' };
}

/** Null: it was not seen, or not in full. */
function deviceIn({ snapshot: { driver } }: Look, uuid: string | undefined): Gpu | null {
  const gpu = seen(driver)?.gpus.find((each) => each.uuid === uuid) ?? null;
  const missing = driver.state === 'partial' ? driver.missing.map(({ subject }) => subject) : [];
  return gpu === null || missing.some((subject) => subject === gpu.uuid || subject === gpu.pciBusId) ? null : gpu;
}

function canSeeProcesses(look: Look, { gpu }: Subject): boolean {
  const { snapshot } = look;
  const devices = gpu === undefined ? (seen(snapshot.driver)?.gpus ?? []) : [deviceIn(look, gpu)];
  const listed = devices.every((each) => each !== null && each.processes.state === 'known');
  return listed && (gpu !== undefined || snapshot.driver.state === 'complete') && snapshot.engine.state === 'complete' && snapshot.processes.state === 'complete';
}

/** Only the decision about a reset tells: memory of which nothing is known is not clean. */
function isClean(look: Look, { gpu }: Subject): boolean {
  if (deviceIn(look, gpu) === null) return false;
  const last = look.decisions.map((decision, at) => ({ decision, at })).findLast(({ decision: { target, verb } }) => verb === 'reset' && target.kind === 'gpu' && target.uuid === gpu);
  if (last === undefined) return false;
  const done = look.outcomes.some((outcome) => outcome.decision === last.at && (outcome.result === 'done' || outcome.result === 'already-gone'));
  return done || last.decision.reason === 'clean' || last.decision.verdict === 'refuse';
}

/** Such an answer leaves open whether the limit was reached. */
const UNKNOWN: ReadonlySet<ReasonCode> = new Set(['activity-unknown', 'age-unknown', 'claims-unknown', 'container-unknown', 'containers-unknown', 'first-pass', 'too-few-samples']);

function couldJudge({ snapshot: { engine }, decisions }: Look, { container: id }: Subject): boolean {
  if (engine.state !== 'complete') return false;
  const here = engine.value.containers.find((each) => each.id === id);
  const mine = decisions.filter(({ target }) => target.kind === 'container' && target.containerId === id);
  if (mine.some(({ reason }) => UNKNOWN.has(reason))) return false;
  return here === undefined || !isLive(here.state) || mine.length > 0;
}
