import type { DriverView } from '../model/device.ts';
import type { Finding } from '../model/finding.ts';
import type { CgroupLayout, LedgerState, LockState, PlaceState } from '../model/host-facts.ts';
import type { FailureCode, Observed } from '../model/observation.ts';
import type { ProcessView } from '../model/process.ts';
import { known } from '../model/reading.ts';
import type { EngineIdentity } from '../model/snapshot.ts';
import { counted } from '../model/text.ts';
import { isoTime } from '../model/time.ts';

/** Who answers on the engine's socket. */
export interface EngineSeen extends EngineIdentity {
  readonly version: string | null;
  /** The version of the API that gpuctl asks in. */
  readonly api: string;
  readonly defaultRuntime: string | null;
}

/** All that `gpuctl doctor` looked at. Instants are milliseconds since 1970 UTC. */
export interface DoctorFacts {
  readonly now: number;
  readonly isRoot: boolean;
  readonly driver: Observed<DriverView>;
  readonly processes: Observed<ProcessView>;
  readonly engineHost: string;
  readonly engine: Observed<EngineSeen>;
  /** Why the engine does not know what it runs; null: no reason to think so. */
  readonly engineDoubt: string | null;
  readonly cgroups: CgroupLayout;
  readonly lock: LockState;
  readonly ledgerFile: string;
  readonly ledger: LedgerState;
  readonly eventsFile: string;
  readonly events: PlaceState;
  /** Null: not known. */
  readonly rotated: boolean | null;
  /** What is wrong with the schedule that is installed. */
  readonly schedule: readonly Finding[];
  /** What each of the configuration's mistakes that affect only themselves says. */
  readonly configWarnings: readonly string[];
  readonly configSources: readonly string[];
}

export type CheckVerdict = 'ok' | 'warning' | 'failure';

/** One question and its answer. `remedy` null: nothing is to be done. A failure: gpuctl cannot do its work. */
export interface Check {
  readonly id: string;
  readonly verdict: CheckVerdict;
  readonly message: string;
  readonly remedy: string | null;
}

/** Can gpuctl work here? Every check, in the order in which an admin would put right what fails. */
export function decideHealthOfHost(facts: DoctorFacts): readonly Check[] {
  return [
    rights(facts), configuration(facts),
    driver(facts), ...gpus(facts), persistence(facts),
    engine(facts), processes(facts), cgroups(facts),
    lock(facts), ledger(facts), events(facts), rotation(facts), clock(facts),
    ...schedule(facts),
  ];
}

function ok(id: string, message: string): Check {
  return { id, verdict: 'ok', message, remedy: null };
}

function warning(id: string, message: string, remedy: string): Check {
  return { id, verdict: 'warning', message, remedy };
}

function failure(id: string, message: string, remedy: string): Check {
  return { id, verdict: 'failure', message, remedy };
}

function rights({ isRoot }: DoctorFacts): Check {
  return isRoot ? ok('rights', 'runs as root') : failure('rights', 'runs without root: what it may not see here is not known', 'run it as root, as the schedule does');
}

function configuration({ configSources, configWarnings }: DoctorFacts): Check {
  const [first] = configWarnings;
  const where = configSources.length === 0 ? 'no file: the built-in defaults apply, and nothing is stopped or removed' : configSources.join(', ');
  return first === undefined ? ok('configuration', where) : warning('configuration', `${counted(configWarnings.length, 'warning')}; the first: ${first}`, 'gpuctl config check');
}

/** What to do about an nvidia-smi that gave nothing. */
const SMI_REMEDIES: Readonly<Partial<Record<FailureCode, string>>> = {
  'not-installed': 'install the driver\'s tools, or set nvidia_smi.path',
  'no-driver': 'load the driver: modprobe nvidia; see dmesg',
  'version-mismatch': 'the driver was updated under the running one: reboot, or reload its modules',
  'no-devices': 'see lspci -d 10de: and dmesg',
  'timeout': 'see dmesg for Xid errors; raise nvidia_smi.timeout if it is only slow',
  'hung': 'it hangs in the kernel: see dmesg for Xid errors; a reboot is likely to be needed',
  'device-fault': 'see dmesg for Xid errors; the board needs a reset or a reboot',
};

function driver({ driver: seen }: DoctorFacts): Check {
  if (seen.state === 'failed') return failure('nvidia-smi', seen.why, SMI_REMEDIES[seen.code] ?? 'run nvidia-smi -q -x by hand and see what it says');
  const { driverVersion, gpus: all } = seen.value;
  return ok('nvidia-smi', `answers; driver ${driverVersion ?? 'of unknown version'}, ${counted(all.length, 'GPU')}`);
}

function gpus({ driver: seen }: DoctorFacts): readonly Check[] {
  if (seen.state === 'failed') return [];
  const { attachedGpus, gpus: all } = seen.value;
  const gaps = seen.state === 'partial' ? seen.missing.map(({ subject, why }) => `${subject}: ${why}`) : [];
  if (attachedGpus !== null && attachedGpus > all.length) gaps.unshift(`${attachedGpus} are attached, ${all.length} answer`);
  const faults = all.flatMap(({ pciBusId, faults: texts }) => texts.map((text) => `${pciBusId}: ${text}`));
  const problems = [...new Set([...gaps, ...faults])];
  if (problems.length === 0) return [ok('gpus', 'every attached GPU answers')];
  return [warning('gpus', problems.join('; '), 'see dmesg for Xid errors; the other GPUs are looked after meanwhile')];
}

function persistence({ driver: seen }: DoctorFacts): Check {
  const all = seen.state === 'failed' ? [] : seen.value.gpus;
  if (all.length === 0) return warning('persistence', 'not known: no GPU was seen', 'see nvidia-smi above');
  const of = (mode: boolean | null): readonly string[] => all.filter((gpu) => known(gpu.persistence) === mode).map((gpu) => gpu.pciBusId);
  const [off, untold] = [of(false), of(null)];
  if (off.length === 0) return ok('persistence', untold.length === 0 ? 'on, so that nvidia-smi answers at once' : `nvidia-smi does not tell it of ${untold.join(', ')}`);
  return warning('persistence', `off on ${off.join(', ')}: each call of nvidia-smi initialises the board`, 'systemctl enable --now nvidia-persistenced');
}

const ENGINE_REMEDIES: Readonly<Partial<Record<FailureCode, string>>> = {
  'not-installed': 'start the engine, or set engine.host to the socket that it listens on',
  'refused': 'start the engine: systemctl start docker',
  'not-permitted': 'run it as root',
  'timeout': 'the engine hangs: see its log; raise engine.timeout if it is only slow',
  'version-mismatch': 'gpuctl needs Docker 19.03 or later',
};

function engine({ engine: seen, engineHost, engineDoubt, ledger: remembered }: DoctorFacts): Check {
  if (seen.state === 'failed') return failure('engine', `${engineHost}: ${seen.why}`, ENGINE_REMEDIES[seen.code] ?? 'see the log of the engine');
  const { kind, version, api, engineId, defaultRuntime } = seen.value;
  const what = `${kind} ${version ?? 'of unknown version'}, API ${api}, default runtime ${defaultRuntime ?? 'not known'}`;
  if (remembered.state === 'sound' && remembered.engineId !== null && engineId !== null && remembered.engineId !== engineId) {
    return failure('engine', `${what}: its id is ${engineId}, the ledger knows ${remembered.engineId}, so nothing is ended or reset`, 'if the engine was reinstalled on purpose: gpuctl doctor --accept-engine');
  }
  const knownKind = remembered.state === 'sound' ? (remembered.engineKind ?? kind) : kind;
  if (knownKind !== kind) return failure('engine', `${what}: the ledger knows ${knownKind}, so nothing is ended or reset`, `if ${kind} has taken its place on purpose: gpuctl doctor --accept-engine`);
  if (engineDoubt !== null) return failure('engine', `${what}: ${engineDoubt}`, 'end what is left of those containers, or point engine.host to the engine that runs them; where they are to be left alone for good: gpuctl doctor --accept-engine');
  if (kind === 'podman') return warning('engine', `${what}: claims and limits work, orphaned processes are reported and never ended`, 'nothing, if that is what is wanted');
  return ok('engine', `answers; ${what}`);
}

function processes({ processes: seen, isRoot }: DoctorFacts): Check {
  if (seen.state === 'failed') return failure('processes', seen.why, 'run it on the host itself, not in a container');
  if (seen.state === 'complete' || !isRoot) return ok('processes', 'runs in the pid namespace of the host');
  return warning('processes', seen.missing.map(({ subject, why }) => `${subject}: ${why}`).join('; '), 'what is not readable is left alone');
}

function cgroups({ cgroups: layout }: DoctorFacts): Check {
  if (layout !== null) return ok('cgroups', `control groups ${layout}`);
  return failure('cgroups', 'no control groups are mounted: whose a process is cannot be told', 'mount /sys/fs/cgroup');
}

function lock({ lock: seen }: DoctorFacts): Check {
  switch (seen.state) {
    case 'free': return ok('lock', 'free');
    case 'held': return ok('lock', `held by a pass that runs${seen.pids.length === 0 ? '' : ` (pid ${seen.pids.join(', ')})`}`);
    case 'unusable': return failure('lock', seen.why, 'passes run as root, need flock (util-linux) and a /run that can be written');
  }
}

function ledger({ ledger: seen, ledgerFile }: DoctorFacts): Check {
  switch (seen.state) {
    case 'none': return ok('ledger', `${ledgerFile} will be begun by the first pass`);
    case 'sound': return ok('ledger', `${ledgerFile}: sound, ${mib(seen.sizeBytes)}`);
    case 'unreadable': return failure('ledger', `${ledgerFile}: ${seen.why}`, 'run it as root; a damaged ledger is set aside by the next pass, nothing of it is lost');
  }
}

/** Enough for months of events. */
const LITTLE_BYTES = 100 * 1024 * 1024;

function events({ events: seen, eventsFile }: DoctorFacts): Check {
  if (seen.state === 'unwritable') return failure('events', `${eventsFile} cannot be written: ${seen.why}`, 'set events.file, or make its folder writable for root');
  if (seen.freeBytes !== null && seen.freeBytes < LITTLE_BYTES) return warning('events', `${eventsFile}: only ${mib(seen.freeBytes)} are left on its file system`, 'free some space');
  return ok('events', `${eventsFile} can be written`);
}

function rotation({ rotated, eventsFile }: DoctorFacts): Check {
  if (rotated === true) return ok('logrotate', 'the events file is rotated');
  return warning('logrotate', rotated === null ? 'the rules of logrotate could not be read' : `no rule of logrotate names ${eventsFile}: it grows for ever`, 'write one to /etc/logrotate.d (the package brings one for /var/log/gpuctl)');
}

/** gpuctl did not exist before. */
const EARLIEST = 1_790_000_000_000;
/** Clocks that are kept by NTP differ by less. */
const TOLERANCE_MS = 60_000;

function clock({ now, ledger: seen }: DoctorFacts): Check {
  const remedy = 'set the clock: timedatectl set-ntp true';
  if (now < EARLIEST) return failure('clock', `it says ${isoTime(now)}, which is past`, remedy);
  const newestAt = seen.state === 'sound' ? seen.newestAt : null;
  if (newestAt === null || newestAt <= now + TOLERANCE_MS) return ok('clock', isoTime(now));
  return warning('clock', `it says ${isoTime(now)}, but the ledger remembers ${isoTime(newestAt)}: it was put back`, `${remedy}; ages are counted as unknown until then`);
}

function schedule({ schedule: findings }: DoctorFacts): readonly Check[] {
  const serious = findings.filter(({ severity }) => severity !== 'info');
  if (serious.length === 0) return [ok('schedule', 'installed once, as the configuration asks for it')];
  return serious.map(({ message, remedy }) => warning('schedule', message, remedy));
}

function mib(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
