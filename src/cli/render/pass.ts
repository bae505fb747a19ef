import type { ChalkInstance } from 'chalk';
import { blockersIn } from '../../decide/reset.ts';
import type { Decision, Outcome } from '../../model/decision.ts';
import type { Finding } from '../../model/finding.ts';
import { REASONS } from '../../model/reason.ts';
import type { DeviceReport, PassReport } from '../../passes/report.ts';
import { printable } from '../../model/text.ts';
import { renderTable } from './text.ts';

/** A pass as an admin reads it: devices, what was done or would be, findings, and one line that sums it up. */
export function renderPass(report: PassReport, paint: ChalkInstance): string {
  const parts = [renderSources(report, paint), renderDevices(report, paint), renderActs(report, paint), renderFindings(report.findings, paint), renderSum(report, paint)];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

function renderSources({ observed, host, job, dry_run }: PassReport, paint: ChalkInstance): string {
  const sources = Object.entries(observed).map(([name, state]) => `${name.replace('_', '-')} ${state === 'complete' ? paint.green(state) : paint.red(state)}`);
  return `${paint.bold(`gpuctl ${job}`)} on ${printable(host)}${dry_run ? ' (dry run: nothing is done)' : ''}: ${sources.join(', ')}`;
}

/** Every device with its verdict, its use and who is on it. */
export function renderDevices({ devices }: Pick<PassReport, 'devices'>, paint: ChalkInstance): string {
  if (devices.length === 0) return 'No device was seen.';
  const rows = devices.flatMap(deviceRows);
  return renderTable([['GPU', 'STATE', 'MEMORY', 'USE', 'HELD BY', 'PROCESSES', 'UUID'], ...rows], (cell, row, column) => {
    if (row === 0) return paint.dim(cell);
    if (column !== 1) return cell;
    return cell.startsWith('clean') ? paint.green(cell) : cell.startsWith('faulty') || cell.startsWith('unknown') ? paint.red(cell) : paint.yellow(cell);
  });
}

function deviceRows(device: DeviceReport): readonly (readonly string[])[] {
  const memory = device.used_mib === null || device.total_mib === null ? '?' : `${device.used_mib}/${device.total_mib} MiB`;
  const use = device.utilization_percent === null ? '-' : `${device.utilization_percent} %`;
  const whole = [String(device.index ?? '?'), device.verdict, memory, use, holdersOf(device, null), processesOf(device), device.uuid];
  const migs = (device.mig ?? []).map((mig) => [`${device.index ?? '?'}:${mig.index}`, '', mig.profile ?? 'MIG', '', holdersOf(device, mig.uuid), '', mig.uuid ?? '?']);
  return [whole, ...migs];
}

function holdersOf(device: DeviceReport, migUuid: string | null): string {
  const mine = device.claims.filter((claim) => claim.mig === migUuid && !claim.released);
  const names = [...new Map(mine.map((claim) => [claim.container.id, `${printable(claim.container.name, 32)}${claim.container.state === 'running' ? '' : ` (${claim.container.state})`}`])).values()];
  if (names.length === 0) return '-';
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
  if (decision.verdict === 'act') return `${paint.cyan(dry_run ? 'would' : 'due')}  ${what}`;
  if (decision.reason === 'conditional') return `${paint.dim('then')}   ${what}`;
  const ways = blockersIn(decision).map((blocker) => `\n           ${blocker.hard ? '-' : '(yields)'} ${printable(blocker.what)}; way out: ${printable(blocker.wayOut)}`);
  return `${paint.yellow('not')}    ${what}${ways.join('')}`;
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

function renderFindings(findings: readonly Finding[], paint: ChalkInstance): string {
  if (findings.length === 0) return '';
  const colour = { info: paint.dim, warning: paint.yellow, critical: paint.red };
  const lines = findings.map(({ id, severity, message, remedy }) => `  ${colour[severity](severity.padEnd(8))}  ${id}: ${printable(message, 400)}\n            ${paint.dim(`→ ${printable(remedy, 300)}`)}`);
  return [paint.bold('Findings'), ...lines].join('\n');
}

function renderSum({ exit, dry_run, decisions, outcomes, findings }: PassReport, paint: ChalkInstance): string {
  const count = (result: string): number => outcomes.filter((outcome) => outcome.result === result).length;
  const planned = decisions.filter((decision) => decision.verdict === 'act').length;
  const acts = dry_run ? `${planned} acts planned` : outcomes.length === 0 ? 'nothing was done' : `${count('done') + count('already-gone')} done, ${count('refused')} refused, ${count('failed')} failed`;
  const serious = findings.filter((finding) => finding.severity !== 'info').length;
  const text = `${acts}; ${serious === 0 ? 'no findings' : `${serious} finding${serious === 1 ? '' : 's'}`} (exit ${exit})`;
  return exit === 0 ? paint.green(text) : paint.yellow(text);
}
