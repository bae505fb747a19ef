import type { Claim } from '../model/claim.ts';
import type { Blocker } from '../model/decision.ts';
import type { Gpu } from '../model/device.ts';
import type { History } from '../model/history.ts';
import type { Observed } from '../model/observation.ts';
import type { NodeHolder, ProcessView } from '../model/process.ts';
import type { EngineView } from '../model/container.ts';
import { known } from '../model/reading.ts';
import { counted, printable } from '../model/text.ts';
import { isoTime } from '../model/time.ts';
import { heldUpRemedy } from './held-up.ts';
import type { Ownership } from './ownership.ts';
import { containerIdsIn, managerIn, systemServiceIn } from './cgroup.ts';

const DAY_MS = 24 * 3600_000;

export interface ResetRules {
  readonly cooldownMs: number;
  readonly maxPerDay: number;
  /** Units that a reset may stop and starts again; absent: none. */
  readonly pauseServices?: readonly string[];
}

export interface BlockerFacts {
  readonly gpu: Gpu;
  readonly engine: Observed<EngineView>;
  readonly claims: readonly Claim[];
  readonly processes: Observed<ProcessView>;
  readonly ownership: ReadonlyMap<number, Ownership>;
  readonly history: History;
  readonly rules: ResetRules;
  readonly now: number;
}

/** Everything that stands between a device and a reset, all of it, each with its way out. */
export function blockersOf(facts: BlockerFacts): readonly Blocker[] {
  return [...claimBlockers(facts), ...processBlockers(facts), ...holderBlockers(facts), ...boardBlockers(facts.gpu), ...historyBlockers(facts)];
}

function hard(kind: Blocker['kind'], what: string, wayOut: string): Blocker {
  return { kind, hard: true, what, wayOut };
}

function claimBlockers({ gpu, engine, claims }: BlockerFacts): readonly Blocker[] {
  if (engine.state === 'failed') return [hard('claims-unknown', `the container engine was not observed: ${engine.why}`, 'make the engine answer; gpuctl tries again at its next pass')];
  const mine = claims.filter((claim) => claim.gpuUuid === gpu.uuid && !claim.released);
  return [...Map.groupBy(mine, (claim) => claim.containerId).values()].flatMap((ofOne) => ofOne.slice(0, 1).map((claim) => claimBlocker(claim, ofOne, heldUpRemedy(engine, claim.containerId))));
}

function claimBlocker(claim: Claim, all: readonly Claim[], heldUp: string | null): Blocker {
  if (claim.source === 'uninspected') return uninspectedBlocker(claim, heldUp);
  const how = [...new Set(all.map((each) => `${each.source} ${each.reference}`))].join(', ');
  const end = ['created', 'exited', 'dead'].includes(claim.containerState) ? 'remove it, or wait until its hold has passed' : 'stop it, or wait for it to end';
  return hard('container-claim', `container ${claim.containerName} (${claim.containerState}) claims it by ${how}`, end);
}

function uninspectedBlocker({ containerName, reference }: Claim, heldUp: string | null): Blocker {
  if (heldUp !== null) return hard('uninspected-container', `container ${containerName}: ${reference}; so it may claim any device`, heldUp);
  return hard('uninspected-container', `container ${containerName} could not be inspected, so it may claim any device`, 'look why the engine cannot inspect it');
}

function processBlockers({ gpu, ownership }: BlockerFacts): readonly Blocker[] {
  if (gpu.processes.state === 'unknown') return [hard('process-list-unknown', `its process list is not known: ${gpu.processes.why}`, 'nvidia-smi must answer in full')];
  const live = gpu.processes.processes.filter((row) => ownership.get(row.pid)?.kind !== 'ghost');
  return [...new Map(live.map((row) => [row.pid, row])).values()].map((row) => {
    const owner = ownership.get(row.pid);
    return hard('live-process', `process ${row.pid} is on it (${owner?.kind ?? 'unknown'})`, owner?.kind === 'orphan' ? 'release-stale ends it' : 'its owner must end it');
  });
}

function holderBlockers({ gpu, ownership, processes, rules }: BlockerFacts): readonly Blocker[] {
  if (processes.state !== 'complete') return [hard('holders-unknown', `/proc could not be read completely: ${whyPartial(processes)}`, 'run as root, where /proc hides nothing')];
  const { holders } = processes.value;
  if (holders === null) return [hard('holders-unknown', 'it was not asked who has the device node open', 'a pass that may reset asks: gpuctl release-stale')];
  // Who is listed and alive blocks already. A ghost does not, so whoever has its pid by now must. gpuctl itself opens no node.
  const live = new Set(gpu.processes.state === 'known' ? gpu.processes.processes.map((row) => row.pid).filter((pid) => ownership.get(pid)?.kind !== 'ghost') : []);
  const others = holders.filter((holder) => (gpu.minorNumber === null || holder.minorNumber === gpu.minorNumber) && !live.has(holder.pid));
  return [...new Map(others.map((holder) => [holder.pid, holder])).values()].map((holder) => holderBlocker(holder, rules.pauseServices ?? []));
}

function whyPartial(processes: Exclude<Observed<ProcessView>, { readonly state: 'complete' }>): string {
  if (processes.state === 'failed') return processes.why;
  return processes.missing.slice(0, 3).map((gap) => `${gap.subject}: ${gap.why}`).join('; ');
}

function holderBlocker(holder: NodeHolder, pauseServices: readonly string[]): Blocker {
  const service = systemServiceIn(holder.cgroups);
  const who = `process ${holder.pid} (${printable(holder.command)})`;
  if (service !== null && pauseServices.includes(service)) return { kind: 'pausable-service', hard: false, unit: service, what: `${service} has the device node open (pid ${holder.pid})`, wayOut: 'nothing to do: the reset stops it and starts it again' };
  if (isPersistenceDaemon(holder, service)) return { kind: 'persistence-daemon', hard: false, what: `nvidia-persistenced (pid ${holder.pid}) has the device node open`, wayOut: 'nothing to do: the reset turns persistence off and on again for this GPU where needed' };
  return hard('node-holder', `${who}${service === null ? '' : ` of ${service}`} has /dev/nvidia${holder.minorNumber} open`, wayOutOf(holder, service));
}

function wayOutOf({ pid, cgroups }: NodeHolder, service: string | null): string {
  if (service !== null) return `systemctl stop ${service}, or list it under reset.pause_services`;
  const paths = cgroups ?? [];
  const [container] = containerIdsIn(paths);
  if (container !== undefined) return `stop container ${container.slice(0, 12)}`;
  const manager = managerIn(paths);
  return manager === null ? `end process ${pid}` : `it belongs to ${manager}: whoever runs it must end it`;
}

/**
 * nvidia-persistenced holds every node for ever; a reset deals with it. Its name alone proves nothing, its service or root
 * does, but only outside containers and sessions: in those anybody can be root and have a unit of any name.
 */
function isPersistenceDaemon({ cgroups, uid, command }: NodeHolder, service: string | null): boolean {
  if (cgroups === null || managerIn(cgroups) !== null || containerIdsIn(cgroups).length > 0) return false;
  return service === 'nvidia-persistenced.service' || (uid === 0 && command === 'nvidia-persiste');
}

/** The driver's own word outranks what single readings seem to call for. */
const HELPED_BY_RESET: ReadonlySet<string> = new Set(['none', 'reset', 'drain-and-reset']);

function boardBlockers(gpu: Gpu): readonly Blocker[] {
  const blockers: Blocker[] = [];
  if (gpu.migCurrent.kind === 'error' || gpu.migPending.kind === 'error') blockers.push(hard('mig-unknown', 'its MIG mode could not be read', 'nvidia-smi must answer in full'));
  if (known(gpu.migCurrent) === true || known(gpu.migPending) === true) blockers.push(hard('mig-enabled', `MIG is enabled${gpu.migDevices.length === 0 ? '' : ` with ${counted(gpu.migDevices.length, 'device')}`}: a reset would hurt everybody on it`, `drain it, then: nvidia-smi -mig 0 -i ${gpu.pciBusId}`));
  if (known(gpu.displayActive) === true || gpu.displayActive.kind === 'error') blockers.push(hard('display-active', 'a display is active on it, or it could not be read', 'stop the display server: systemctl isolate multi-user.target'));
  const action = known(gpu.recovery);
  if (action !== null && !HELPED_BY_RESET.has(action)) blockers.push(hard('device-unknown', `the driver asks for the recovery action ${action}, and a reset of the GPU is not that`, 'see the finding'));
  // That it requires a reset stands against none: whether anybody is on it, its MIG mode and its display are asked above.
  const faults = gpu.faults.filter((fault) => fault !== 'GPU requires reset');
  if (faults.length > 0) blockers.push(hard('device-unknown', `the driver reports: ${faults.slice(0, 3).join(', ')}`, 'see the finding; a lost GPU needs a reboot'));
  return blockers;
}

function historyBlockers({ gpu, history, rules, now }: BlockerFacts): readonly Blocker[] {
  const blockers: Blocker[] = [];
  const last = lastAt(history.resets, gpu.uuid);
  if (now - last < rules.cooldownMs) blockers.push(hard('cool-down', `it was reset at ${isoTime(last)}`, `wait until ${isoTime(last + rules.cooldownMs)}`));
  const paused = lastAt(history.vainPauses ?? [], gpu.uuid);
  if (now - paused < rules.cooldownMs && paused > last) blockers.push(hard('cool-down', `services were stopped for its reset at ${isoTime(paused)}, and it did not take place`, `wait until ${isoTime(paused + rules.cooldownMs)}`));
  const today = resetsToday(history, gpu.uuid, now);
  if (history.quarantined.includes(gpu.uuid) || today >= rules.maxPerDay) blockers.push(hard('quarantine', `it is in quarantine; it was reset ${counted(today, 'time')} in 24 hours`, `have the board checked, then: gpuctl quarantine clear ${gpu.uuid}`));
  return blockers;
}

function lastAt(records: readonly { readonly gpuUuid: string; readonly at: number }[], gpuUuid: string): number {
  return Math.max(...records.filter((each) => each.gpuUuid === gpuUuid).map(({ at }) => at), Number.NEGATIVE_INFINITY);
}

/** Resets of this board within 24 hours, tried ones included; those that an admin has forgiven do not count any more. */
export function resetsToday(history: History, gpuUuid: string, now: number): number {
  return history.resets.filter((reset) => reset.gpuUuid === gpuUuid && now - reset.at < DAY_MS && reset.forgiven !== true).length;
}
