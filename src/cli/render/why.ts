import type { ChalkInstance } from 'chalk';
import { renderDuration } from '../../config/units.ts';
import { printable } from '../../model/text.ts';
import type { ContainerOutlook, ProspectReport } from '../../passes/container-outlook.ts';
import { NOT_TRUSTED } from '../../passes/limit-notice.ts';
import { ageOf, TOO_OLD_MS, type WhyExport } from '../exported.ts';
import { EVENTS_TO_COME } from './containers.ts';
import { renderAge } from './text.ts';

/** What a user reads of his containers: what will happen to each, when, by which rule and what can be done. */
export function renderWhy(why: WhyExport, now: number, paint: ChalkInstance): string {
  const ageMs = ageOf(why, now);
  const age = `as of ${renderAge(ageMs)} ago`;
  const refusals = (why.keep_refused ?? []).map(({ at, why: reason }) => `gpuctl keep was refused at ${printable(at, 30)}: ${printable(reason, 300)}\n`).join('');
  const old = ageMs > TOO_OLD_MS ? `${paint.red(`This is ${renderAge(ageMs)} old: gpuctl should look every few minutes and does not. What is below may be true no more; tell an admin.`)}\n\n` : '';
  if (why.containers.length === 0) return `${old}No container of uid ${why.uid} on ${printable(why.host)}, ${age}.\n${refusals}`;
  const blocks = why.containers.map((each) => [paint.bold(`${printable(each.name, 60)} (${printable(each.state, 20)})`) + devicesText(each), ...each.prospects.flatMap((prospect) => prospectLines(prospect, each, now)), ...warningLines(each)].join('\n'));
  return `${old}${blocks.join('\n\n')}\n\n${refusals}${paint.dim(age)}\n`;
}

function devicesText({ devices }: ContainerOutlook): string {
  return devices.length === 0 ? '' : `  ${devices.map((device) => printable(device, 60)).join(', ')}`;
}

function prospectLines(prospect: ProspectReport, container: ContainerOutlook, now: number): readonly string[] {
  const { what, at, job, explanation, reason, limit, spent_ms: spent, exemption } = prospect;
  const demand = limit.shortened_from_ms === undefined ? [] : [`shortened from ${renderDuration(limit.shortened_from_ms)} while most devices are taken`];
  const whence = [...(limit.from === null ? [] : [printable(limit.from, 80)]), ...demand].join('; ');
  const rule = `${printable(limit.key, 40)} ${renderDuration(limit.ms === null ? null : roundMs(limit.ms))}${whence === '' ? '' : ` (${whence})`}`;
  const granted = exemption?.granted === true && reason === 'exempt' ? ` until ${printable(exemption.until, 20)} (${printable(exemption.reason, 200)})` : '';
  const untrusted = exemption?.granted === false ? [`      the exemption until ${printable(exemption.until, 20)} (${printable(exemption.reason, 200)}) does not count: ${NOT_TRUSTED}; ask an admin`] : [];
  const so = spent === null ? '' : `; ${renderAge(spent)} so far`;
  if (at === null) return [`  not ${EVENTS_TO_COME[what]}: ${printable(explanation ?? '', 200)}${granted}; ${rule}`, ...untrusted];
  const put = explanation === null ? '' : `; ${printable(explanation, 200)}`;
  const when = `  ${EVENTS_TO_COME[what]} in ${renderAge(Math.max(0, Date.parse(at) - now))} at the earliest (${at.slice(0, 16).replace('T', ' ')} UTC${job === null || job === undefined ? '' : `, by ${printable(job, 40)}`}): ${rule}${so}${put}`;
  return [when, ...untrusted, ...wayOut(what, container)];
}

/** What the owner can do about it. */
function wayOut(what: ProspectReport['what'], { name, state, keep_alive_max_ms: most }: ContainerOutlook): readonly string[] {
  if (what === 'idle-stop') return [most === 0 ? '      use it: any activity begins the time anew' : `      use it, or: gpuctl keep ${printable(name, 60)} --for ${renderDuration(most)} (the most in one idle spell)`];
  if (what === 'runtime-stop') return ['      it cannot be put off; an admin grants exemptions'];
  return [`      start it${state === 'created' ? '' : ' again'}: docker start ${printable(name, 60)}`];
}

/** A limit may be shortened by high demand to a part of a second. */
function roundMs(ms: number): number {
  return ms === 0 ? 0 : Math.max(1000, Math.round(ms / 1000) * 1000);
}

function warningLines({ warnings }: ContainerOutlook): readonly string[] {
  return warnings.map(({ kind, stage, at }) => `  ${stage === 'final' ? 'final warning' : stage === 'notice' ? 'notice' : 'warning'} (${printable(kind, 20)}) given at ${printable(at, 30)}`);
}
