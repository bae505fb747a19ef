import type { ChalkInstance } from 'chalk';
import { renderDuration } from '../../config/units.ts';
import { printable } from '../../model/text.ts';
import type { ContainerOutlook, ProspectReport } from '../../passes/container-outlook.ts';
import { renderAge, renderTable } from './text.ts';

/** What a prospect says of a container, after its name. */
export const EVENTS_TO_COME: Readonly<Record<ProspectReport['what'], string>> = { 'idle-stop': 'stopped for idleness', 'runtime-stop': 'stopped at its runtime limit', 'gpu-release': 'its devices are released', 'removal': 'removed' };

/** A line for each: its clocks against their limits, and what happens to it first. */
export function renderContainers(containers: readonly ContainerOutlook[], now: number, paint: ChalkInstance): string {
  const rows = containers.map((each) => [printable(each.name, 40), each.owner === null ? 'unknown' : printable(each.owner, 20), clockText(each, 'idle-stop'), clockText(each, 'runtime-stop'), nextText(each, now)]);
  return renderTable([['CONTAINER', 'OWNER', 'IDLE', 'RUNTIME', 'NEXT'], ...rows], (cell, row) => (row === 0 ? paint.dim(cell) : cell));
}

/** `12 min of 30m`; a container that does not run has no such clock. */
function clockText({ prospects }: ContainerOutlook, what: ProspectReport['what']): string {
  const prospect = prospects.find((each) => each.what === what);
  if (prospect === undefined) return '-';
  const spent = prospect.spent_ms === null ? 'not known' : renderAge(prospect.spent_ms);
  return prospect.limit.ms === null ? `${spent}, no limit` : `${spent} of ${renderDuration(prospect.limit.ms)}`;
}

/** What comes first; where nothing does, why not. */
function nextText({ prospects }: ContainerOutlook, now: number): string {
  const dated = prospects.flatMap(({ what, at }) => (at === null ? [] : [{ what, inMs: Math.max(0, Date.parse(at) - now) }]));
  const [first] = dated.toSorted((a, b) => a.inMs - b.inMs);
  if (first !== undefined) return `${EVENTS_TO_COME[first.what]} in ${renderAge(first.inMs)} at the earliest`;
  return [...new Set(prospects.flatMap(({ explanation }) => explanation ?? []))].map((why) => printable(why, 80)).join('; ') || '-';
}
