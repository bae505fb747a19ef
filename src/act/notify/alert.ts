import { EVENTS, type GpuctlEvent } from '../../model/event.ts';
import { counted, printable } from '../../model/text.ts';
import type { OwedAlert } from '../../passes/ports.ts';

/** What one message carries; a storm is told by its number. */
const MAX_ALERTS = 50;

/** All alerts of one pass, as one message to one sink. */
export interface AlertMessage {
  readonly host: string;
  /** One JSON object a line, as in the event file. */
  readonly lines: readonly string[];
  /** One sentence each, printable. */
  readonly sentences: readonly string[];
  /** Alerts that are not in it. */
  readonly more: number;
}

/** Should an admin act on it? */
export function isAlert({ action, alert }: GpuctlEvent): boolean {
  return alert ?? EVENTS[action].alert;
}

/**
 * What an alert is about, for the cool-down: the action with its device and container, or what else tells two of its kind
 * apart. Two alerts of one subject are one.
 */
export function subjectOf({ action, gpu, container, facts, reason }: GpuctlEvent): string {
  const detail = action.startsWith('gpu.condition.') ? reason : (facts?.['source'] ?? facts?.['verb']);
  // Whatever is not there is null in it.
  return JSON.stringify([action, gpu?.uuid, gpu?.mig, container?.id, detail]);
}

/** What an event puts an end to: the alerts of a condition that was cleared. */
export function clearedSubjects(event: GpuctlEvent): readonly string[] {
  if (event.action !== 'gpu.condition.cleared') return [];
  return [subjectOf({ ...event, action: 'gpu.condition.raised' }), subjectOf({ ...event, action: 'gpu.condition.changed' })];
}

/** `render`: an event as its line. */
export function alertOf(event: GpuctlEvent, { render, now }: { readonly render: (event: GpuctlEvent) => string; readonly now: () => number }): OwedAlert {
  return { subject: subjectOf(event), at: now(), line: render(event).trimEnd(), sentence: sentenceOf(event) };
}

/** The first of these alerts that a message has room for. */
export function messageOf(alerts: readonly OwedAlert[], host: string): AlertMessage {
  const told = alerts.slice(0, MAX_ALERTS);
  return { host, lines: told.map(({ line }) => line), sentences: told.map(({ sentence }) => sentence), more: alerts.length - told.length };
}

function sentenceOf({ action, message, container, user }: GpuctlEvent): string {
  const about = [...(container === undefined || container.name === null ? [] : [`container ${container.name}`]), ...(user === undefined ? [] : [`owner ${user}`])].join(', ');
  return printable(`${action}: ${message}${about === '' ? '' : ` (${about})`}`, 500);
}

/** `gpuctl on gpu01: 3 alerts`. */
export function titleOf({ host, lines, more }: AlertMessage): string {
  return `gpuctl on ${printable(host, 64)}: ${counted(lines.length + more, 'alert')}`;
}

/** The sentences and how many are left out, a line each. */
export function linesOf({ sentences, more }: AlertMessage): readonly string[] {
  return more === 0 ? sentences : [...sentences, `and ${more} more; see the event file`];
}
