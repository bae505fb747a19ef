import type { NumericReading } from '../../model/health.ts';
import { ExitCode } from '../../model/errors.ts';
import type { Finding } from '../../model/finding.ts';
import { printable } from '../../model/text.ts';
import type { ConditionReport, PassReport } from '../../passes/report.ts';

/** Exit codes of a plugin (https://nagios-plugins.org/doc/guidelines.html, 2026-11). */
const STATES = ['OK', 'WARNING', 'CRITICAL', 'UNKNOWN'] as const;
type State = (typeof STATES)[number];

/** What a plugin says: one line without a newline, and its exit code. */
export interface PluginResult {
  readonly exit: number;
  readonly line: string;
}

/** Nagios reads no more than 4 KiB of a line by default; the text comes first. */
const MAX_LINE_BYTES = 4000;
const MAX_TEXT = 600;

/** The report as one plugin line with performance data. What could not be seen is UNKNOWN, unless something bad enough was. */
export function renderNagios(report: PassReport, durationMs: number): PluginResult {
  const problems = problemsIn(report);
  const state = stateOf(report, problems);
  const counts = { gpus: report.devices.length, warning: count(problems, 'warning'), critical: count(problems, 'critical') };
  return result(state, textOf(report, problems, state), [
    perf('gpus', counts.gpus, { min: 0 }), perf('warnings', counts.warning, { min: 0 }), perf('criticals', counts.critical, { min: 0 }),
    perf('time', durationMs / 1000, { unit: 's', min: 0 }),
    ...report.devices.flatMap((device) => devicePerf(device.index === null ? device.uuid : `gpu${device.index}`, device.readings ?? [])),
  ]);
}

/** A plugin that could not do its work. */
export function renderUnknown(message: string): PluginResult {
  return result('UNKNOWN', message, []);
}

type Problem = Pick<Finding, 'id' | 'severity' | 'subject' | 'message'>;

/** What is wrong now, and what was and could not be looked at now; the worst first, each device and finding once. */
function problemsIn({ findings, conditions }: PassReport): readonly Problem[] {
  const lasting = (conditions ?? []).filter((condition: ConditionReport) => condition.this_run === 'unknown');
  const all: readonly Problem[] = [...findings, ...lasting].filter(({ severity }) => severity !== 'info');
  const worstFirst = [...all.filter(({ severity }) => severity === 'critical'), ...all.filter(({ severity }) => severity === 'warning')];
  const keys = worstFirst.map(({ id, subject }) => JSON.stringify([id, subject.gpu, subject.mig, subject.container, subject.pid]));
  return worstFirst.filter((_, at) => keys.indexOf(keys[at] ?? '') === at);
}

/** What is only remembered does not outweigh that nothing could be looked at. */
function stateOf({ exit, findings }: PassReport, problems: readonly Problem[]): State {
  if (findings.some(({ id, severity }) => severity === 'critical' && !id.startsWith('source.'))) return 'CRITICAL';
  if (exit === ExitCode.notObserved) return 'UNKNOWN';
  if (problems.some(({ severity }) => severity === 'critical')) return 'CRITICAL';
  return problems.length > 0 || exit !== ExitCode.ok ? 'WARNING' : 'OK';
}

function textOf({ devices }: PassReport, problems: readonly Problem[], state: State): string {
  const gpus = `${devices.length} GPU${devices.length === 1 ? '' : 's'}`;
  if (problems.length === 0) return state === 'OK' ? `${gpus}, no findings` : `${gpus}, not everything could be seen`;
  const told = problems.map(({ id, subject, message }) => `${nameOf(subject, devices)}${id}: ${message}`);
  return `${problems.length} finding${problems.length === 1 ? '' : 's'}, ${gpus} seen: ${told.join('; ')}`;
}

function nameOf({ gpu }: Finding['subject'], devices: PassReport['devices']): string {
  if (gpu === undefined) return '';
  return `GPU ${devices.find(({ uuid }) => uuid === gpu)?.index ?? gpu} `;
}

interface Limits {
  readonly unit?: string;
  readonly min?: number;
  readonly max?: number | undefined;
}

/** `'label'=value[UOM];[warn];[crit];[min];[max]`. Labels are ours, or a UUID. */
function perf(label: string, value: number, { unit = '', min, max }: Limits): string {
  const plain = (each: number | undefined): string => (each === undefined ? '' : String(Number(each.toFixed(3))));
  return `'${label}'=${plain(value)}${unit};;;${plain(min)};${plain(max)}`.replace(/;+$/, '');
}

const MIB = 1_048_576;

/** Levels only: a counter of errors is what metrics are for. */
function devicePerf(device: string, readings: readonly NumericReading[]): readonly string[] {
  const value = (name: string): number | undefined => readings.find((reading) => reading.name === name)?.value;
  const [temperature, power, used, total, use] = [value('temperature'), value('power'), value('memory.used'), value('memory.total'), value('utilization')];
  return [
    ...(temperature === undefined ? [] : [perf(`${device}_temperature`, temperature, {})]),
    ...(power === undefined ? [] : [perf(`${device}_power`, power, { min: 0, max: value('power.limit') })]),
    ...(used === undefined ? [] : [perf(`${device}_memory`, used * MIB, { unit: 'B', min: 0, max: total === undefined ? undefined : total * MIB })]),
    ...(use === undefined ? [] : [perf(`${device}_utilization`, use, { unit: '%', min: 0, max: 100 })]),
  ];
}

/** Whole items of performance data, as many as there is room for. A bar would begin the performance data. */
function result(state: State, message: string, performance: readonly string[]): PluginResult {
  const text = `GPUCTL ${state} - ${printable(message, MAX_TEXT).replaceAll('|', '/')}`;
  let line = text;
  for (const item of performance) {
    const longer = `${line}${line === text ? ' | ' : ' '}${item}`;
    if (Buffer.byteLength(longer) > MAX_LINE_BYTES) break;
    line = longer;
  }
  return { exit: STATES.indexOf(state), line };
}

function count(problems: readonly Problem[], severity: Finding['severity']): number {
  return problems.filter((problem) => problem.severity === severity).length;
}
