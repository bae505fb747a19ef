import type { ChalkInstance } from 'chalk';
import { renderInline } from '../../config/inline.ts';
import { renderProvisos } from '../../config/show.ts';
import { blockersIn } from '../../decide/reset.ts';
import type { Decision } from '../../model/decision.ts';
import { REASONS } from '../../model/reason.ts';
import { printable } from '../../model/text.ts';
import type { DeviceMemory } from '../../passes/device-memory.ts';
import type { Explanation } from '../commands/explain.ts';
import { CHANGES } from './changes.ts';
import { renderChecks } from './checks.ts';
import { renderDevices } from './pass.ts';

/** One subject, step by step: what was seen, by which limits, what each rule says of it and what would change that. */
export function renderExplanation(explanation: Explanation, paint: ChalkInstance): string {
  const { decisions, findings, outlook, limits, device, memory, observed } = explanation;
  const sources = Object.entries(observed).filter(([, state]) => state !== 'complete').map(([name, state]) => `${name.replace('_', '-')} ${state}`);
  const blocks = [
    paint.bold(subjectText(explanation)),
    sources.length === 0 ? '' : paint.red(`Not everything was seen: ${sources.join(', ')}`),
    device === null ? '' : renderDevices({ devices: [device], observed }, paint),
    memory === null ? '' : memoryText(memory, paint),
    device === null ? '' : renderChecks({ devices: [device] }).trim(),
    limits === null ? '' : ['Limits', ...limits.map((each) => `  ${each.key.padEnd(26)} ${renderInline(each.value).padEnd(8)} ${each.from}${each.origin === null ? '' : ` (${printable(each.origin.file)}:${each.origin.line})`}${renderProvisos(each)}`)].join('\n'),
    outlook === null ? '' : ['Outlook', ...outlook.prospects.map((each) => `  ${each.what.padEnd(13)} ${each.at === null ? 'no' : `at the earliest ${each.at}`}${each.explanation === null ? '' : `: ${each.explanation}`}${each.limit.shortened_from_ms === undefined ? '' : '; high demand shortens the limit'}`), ...outlook.warnings.map((each) => `  ${each.kind} ${each.stage} given at ${each.at}`)].join('\n'),
    decisions.length === 0 ? `No rule has anything to say about it${explanation.subject.kind === 'process' ? ': no device that was seen lists it' : ''}.` : ['Decisions', ...decisions.map((each, at) => decisionText(each, at, paint))].join('\n'),
    findings.length === 0 ? '' : ['Findings', ...findings.map((each) => `  ${each.id}: ${printable(each.message, 400)}\n    → ${printable(each.remedy, 300)}`)].join('\n'),
  ];
  return `${blocks.filter((block) => block !== '').join('\n\n')}\n`;
}

function subjectText({ subject, host }: Explanation): string {
  switch (subject.kind) {
    case 'device': return `${subject.mig ?? subject.uuid} on ${printable(host)}`;
    case 'process': return `process ${subject.pid} on ${printable(host)}`;
    case 'container': return `container ${printable(subject.name, 60)} (${subject.state}) on ${printable(host)}; owner ${subject.owner ?? 'unknown'}${subject.owner_by === null ? '' : ` by ${subject.owner_by}`}, type ${subject.type ?? 'unknown'}`;
  }
}

/** What lasts: since when, how often, and what stands in the way of more. */
function memoryText({ inventory, reset_wanted: want, resets, quarantined, owed, conditions, driver_hung: hung }: DeviceMemory, paint: ChalkInstance): string {
  const lines = [
    ...(hung === null ? [] : [paint.red(`the driver hangs: ${printable(hung, 300)}`)]),
    ...(inventory === null ? [] : [inventory.missing_since === null ? `known since ${inventory.first_seen_at}, at ${inventory.bus_id}` : paint.red(`missing since ${inventory.missing_since}; it was at ${inventory.bus_id}, a ${printable(inventory.name, 60)}`)]),
    ...(want === null ? [] : [`a reset is wanted since ${want.since}: ${reasonText(want.reason)}`]),
    ...(resets.length === 0 ? [] : [`resets of the last days, and the last of all: ${resets.map(({ at, succeeded }) => `${at} (${succeeded ? 'done' : 'failed'})`).join(', ')}`]),
    ...(quarantined ? [paint.red('in quarantine: it is not offered and not reset; gpuctl quarantine clear ends that')] : []),
    ...owed.map(({ what, since, why }) => `a reset at ${since} took its ${what.replace('-', ' ')}, which is not back${why === null ? '' : `: ${printable(why, 200)}`}`),
    ...(conditions ?? []).map(({ id, severity, first_seen_at: first, this_run: now }) => `${severity} ${id} since ${first}${now === 'seen' ? '' : now === 'gone' ? ', not seen any more' : ', not looked at now'}`),
  ];
  return lines.length === 0 ? '' : ['Remembered', ...lines.map((line) => `  ${line}`)].join('\n');
}

function reasonText(reason: string): string {
  return Object.hasOwn(REASONS, reason) ? REASONS[reason as keyof typeof REASONS] : printable(reason, 100);
}

const VERDICTS = { act: 'yes', refuse: 'called for, but refused', leave: 'no' } as const;

function decisionText(decision: Decision, at: number, paint: ChalkInstance): string {
  const { verb, verdict, reason, target } = decision;
  const whom = target.kind === 'process' ? ` process ${target.pid}` : target.kind === 'allocation' ? ` ${target.migUuid ?? target.gpuUuid} from ${printable(target.containerName, 40)}` : '';
  const lines = [
    `${at + 1}. ${paint.bold(`${verb}${whom}?`)} ${VERDICTS[verdict]}: ${REASONS[reason]} [${reason}]`,
    ...Object.entries(decision.evidence).filter(([key]) => key !== 'blockers').map(([key, value]) => `     ${paint.dim('evidence')} ${printable(key, 40)} = ${printable(JSON.stringify(value) ?? '', 300)}`),
    ...blockersIn(decision).map((blocker) => `     ${paint.dim(blocker.hard ? 'blocker ' : 'yields  ')} ${printable(blocker.what)}; way out: ${printable(blocker.wayOut)}`),
    ...(CHANGES[reason] === undefined ? [] : [`     ${paint.dim('changes if')} ${CHANGES[reason]}`]),
  ];
  return lines.map((line) => `  ${line}`).join('\n');
}
