import type { ChalkInstance } from 'chalk';
import { blockersIn } from '../../decide/reset.ts';
import { conditionKey } from '../../model/condition.ts';
import type { Decision, Outcome } from '../../model/decision.ts';
import type { Finding } from '../../model/finding.ts';
import { REASONS } from '../../model/reason.ts';
import type { DeviceReport, PassReport } from '../../passes/report.ts';
import { printable } from '../../model/text.ts';
import { renderAge, renderTable } from './text.ts';

/** A pass as an admin reads it: devices, what was done or would be, findings, and one line that sums it up. */
export function renderPass(report: PassReport, paint: ChalkInstance): string {
  const parts = [renderSources(report, paint), renderDevices(report, paint), renderActs(report, paint), renderFindings(report, paint), renderUnseen(report, paint), renderSum(report, paint)];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

function renderSources({ observed, host, job, dry_run, replay }: PassReport, paint: ChalkInstance): string {
  const sources = Object.entries(observed).map(([name, state]) => `${name.replace('_', '-')} ${state === 'complete' ? paint.green(state) : paint.red(state)}`);
  return `${paint.bold(`gpuctl ${job}`)} on ${printable(host)}${replay !== undefined ? ` (a replay of ${printable(replay.at)}${replay.scrubbed ? ', scrubbed' : ''}: nothing is done)` : dry_run ? ' (dry run: nothing is done)' : ''}: ${sources.join(', ')}`;
}

/** Every device with its verdict, its use and who is on it. Who holds one is `?` where the engine did not answer. */
export function renderDevices({ devices, observed }: Pick<PassReport, 'devices' | 'observed'>, paint: ChalkInstance): string {
  if (devices.length === 0) return 'No device was seen.';
  const rows = devices.flatMap((device) => deviceRows(device, observed.engine === 'failed' ? '?' : '-'));
  return renderTable([['GPU', 'STATE', 'MEMORY', 'USE', 'HELD BY', 'PROCESSES', 'UUID'], ...rows], (cell, row, column) => {
    if (row === 0) return paint.dim(cell);
    if (column !== 1) return cell;
    return cell.startsWith('clean') ? paint.green(cell) : cell.startsWith('faulty') || cell.startsWith('unknown') ? paint.red(cell) : paint.yellow(cell);
  });
}

function deviceRows(device: DeviceReport, nobody: string): readonly (readonly string[])[] {
  const memory = device.used_mib === null || device.total_mib === null ? '?' : `${device.used_mib}/${device.total_mib} MiB`;
  const use = device.utilization_percent === null ? '-' : `${device.utilization_percent} %`;
  const whole = [String(device.index ?? '?'), device.verdict, memory, use, holdersOf(device, null, nobody), processesOf(device), device.uuid];
  const migs = (device.mig ?? []).map((mig) => [`${device.index ?? '?'}:${mig.index}`, '', mig.profile ?? 'MIG', '', holdersOf(device, mig.uuid, nobody), '', mig.uuid ?? '?']);
  return [whole, ...migs];
}

function holdersOf(device: DeviceReport, migUuid: string | null, nobody: string): string {
  const mine = device.claims.filter((claim) => claim.mig === migUuid && !claim.released);
  const names = [...new Map(mine.map((claim) => [claim.container.id, `${printable(claim.container.name, 32)}${claim.container.state === 'running' ? '' : ` (${claim.container.state})`}`])).values()];
  if (names.length === 0) return nobody;
  return names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ');
}

function processesOf({ processes }: DeviceReport): string {
  if (processes === null) return 'unknown';
  const kinds = Map.groupBy(processes, (process) => process.owner);
  return processes.length === 0 ? '-' : [...kinds].map(([kind, each]) => `${each.length} ${kind}`).join(', ');
}

function renderActs(report: PassReport, paint: ChalkInstance): string {
  const lines = report.decisions.flatMap((decision, index) => {
    const outcome = report.outcomes.find((each) => each.decision === index);
    return isTold(decision) ? [actLine(decision, outcome, report, paint)] : [];
  });
  return lines.length === 0 ? '' : [paint.bold(report.dry_run ? 'Plan' : 'Acts'), ...lines.map((line) => `  ${line}`)].join('\n');
}

/** What an admin wants to read of decisions: acts, refusals, and what waits for them. */
function isTold({ verdict, reason }: Decision): boolean {
  return verdict !== 'leave' || reason === 'conditional';
}

function actLine(decision: Decision, outcome: Outcome | undefined, { dry_run }: PassReport, paint: ChalkInstance): string {
  const what = `${VERBS[decision.verb]} ${targetText(decision)}: ${REASONS[decision.reason]}`;
  if (outcome !== undefined) return `${outcomeMark(outcome, paint)} ${what}; ${printable(outcome.detail, 400)}`;
  if (decision.verdict === 'act') return `${paint.cyan(dry_run ? 'would' : 'due')}  ${what}${waysOf(decision)}`;
  if (decision.reason === 'conditional') return `${paint.dim('then')}   ${what}`;
  return `${paint.yellow('not')}    ${what}${waysOf(decision)}`;
}

/** Every blocker with its way out, a line each. */
function waysOf(decision: Decision): string {
  return blockersIn(decision).map((blocker) => `\n           ${blocker.hard ? '-' : '(yields)'} ${printable(blocker.what)}; way out: ${printable(blocker.wayOut)}`).join('');
}

const VERBS = { kill: 'end', reset: 'reset', release: 'release', stop: 'stop', remove: 'remove', warn: 'warn', alert: 'alert' } as const;

function outcomeMark({ result }: Outcome, paint: ChalkInstance): string {
  if (result === 'done') return paint.green('done  ');
  return result === 'already-gone' ? paint.green('gone  ') : paint.red(result === 'refused' ? 'refused' : 'failed');
}

function targetText({ target }: Decision): string {
  switch (target.kind) {
    case 'process': return `process ${target.pid} (${printable(target.name, 60)})`;
    case 'gpu': return `GPU ${target.index ?? '?'} ${target.pciBusId}`;
    case 'allocation': return `${target.migUuid ?? target.gpuUuid} from container ${printable(target.containerName, 60)}`;
    case 'container': return `container ${printable(target.containerName, 60)}`;
  }
}

function renderFindings({ findings, conditions, devices, ended_at }: PassReport, paint: ChalkInstance): string {
  if (findings.length === 0) return '';
  const colour = { info: paint.dim, warning: paint.yellow, critical: paint.red };
  const lines = findings.map(({ id, subject, severity, message, remedy }) => `  ${colour[severity](severity.padEnd(8))}  ${titleOf({ id, subject }, devices)}: ${printable(message, 400)}${sinceText(conditions, { id, subject }, ended_at)}\n            ${paint.dim(`→ ${printable(remedy, 300)}`)}`);
  return [paint.bold('Findings'), ...lines].join('\n');
}

/** `gpu.temperature on GPU 2`: the finding and, where it is about one, its device; one that was not seen by its UUID. */
export function titleOf({ id, subject: { gpu } }: Pick<Finding, 'id' | 'subject'>, devices: PassReport['devices']): string {
  if (gpu === undefined) return id;
  const index = devices.find(({ uuid }) => uuid === gpu)?.index ?? null;
  return `${id} on ${index === null ? gpu : `GPU ${index}`}`;
}

/** Empty for a finding that is no condition, or has only just become one. */
function sinceText(conditions: PassReport['conditions'], { id, subject }: Pick<Finding, 'id' | 'subject'>, now: string): string {
  const mine = (conditions ?? []).find((each) => conditionKey(each) === conditionKey({ id, subject }));
  const ageMs = mine === undefined ? 0 : Date.parse(now) - Date.parse(mine.first_seen_at);
  return mine === undefined || ageMs < 60_000 ? '' : ` (since ${instant(mine.first_seen_at)}, ${renderAge(ageMs)})`;
}

function instant(iso: string): string {
  return `${iso.slice(0, 16).replace('T', ' ')} UTC`;
}

/** Conditions that this run has not seen: over, or not to be seen now. */
export function renderUnseen({ conditions, devices, job }: Pick<PassReport, 'conditions' | 'devices' | 'job'>, paint: ChalkInstance): string {
  const unseen = (conditions ?? []).filter(({ this_run }) => this_run !== 'seen');
  if (unseen.length === 0 || (job !== 'health-check' && job !== 'status')) return '';
  const lines = unseen.map(({ id, subject, message, first_seen_at, last_seen_at, this_run }) => `  ${titleOf({ id, subject }, devices)}: ${printable(message, 300)}\n            ${paint.dim(`since ${instant(first_seen_at)}, last seen ${instant(last_seen_at)}; ${this_run === 'gone' ? 'not seen now: the next pass that records clears it' : 'this run could not tell whether it lasts'}`)}`);
  return [paint.bold('Open conditions'), ...lines].join('\n');
}

function renderSum({ exit, dry_run, decisions, outcomes, findings }: PassReport, paint: ChalkInstance): string {
  const count = (result: string): number => outcomes.filter((outcome) => outcome.result === result).length;
  const planned = decisions.filter((decision) => decision.verdict === 'act').length;
  const acts = dry_run ? `${planned} act${planned === 1 ? '' : 's'} planned` : outcomes.length === 0 ? 'nothing was done' : `${count('done') + count('already-gone')} done, ${count('refused')} refused, ${count('failed')} failed`;
  const serious = findings.filter((finding) => finding.severity !== 'info').length;
  const text = `${acts}; ${serious === 0 ? (findings.length === 0 ? 'no findings' : 'no findings that need an admin') : `${serious} finding${serious === 1 ? '' : 's'}`} (exit ${exit})`;
  return exit === 0 ? paint.green(text) : paint.yellow(text);
}
