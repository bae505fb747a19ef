import { createHash } from 'node:crypto';
import type { GpuctlEvent } from '../../model/event.ts';
import type { NoticeLedger, Told } from '../../passes/ports.ts';
import { clearedSubjects, isAlert, messageOf, subjectOf } from './alert.ts';
import { type Distrust, type ExecSink, type MailSink, runProgram, sendMail } from './program.ts';
import type { WebhookSink } from './webhook.ts';

export type AdminSink = WebhookSink | MailSink | ExecSink;

export interface AdminParts {
  readonly sinks: readonly AdminSink[];
  readonly ledger: NoticeLedger;
  readonly host: string;
  readonly job: string;
  readonly cooldownMs: number;
  /** Wall time, milliseconds since 1970 UTC. */
  readonly now: () => number;
  /** An event as its line. */
  readonly render: (event: GpuctlEvent) => string;
  readonly distrust: Distrust;
  /** Of one sink; all are told at the same time. */
  readonly timeoutMs: number;
}

/**
 * Tells every sink of the alerts of one whole pass that it was not told of within the cool-down. What the same job alerted
 * earlier and does not any more is forgotten, so that it is told at once when it comes back; a pass that could not look
 * properly forgets nothing. A condition that was cleared is forgotten whichever job was told of it. Each sink has its own memory: what one did not take it is offered again by the next pass.
 */
export async function tellAdmins(events: readonly GpuctlEvent[], parts: AdminParts): Promise<readonly GpuctlEvent[]> {
  const alerts = [...new Map(events.filter(isAlert).map((event) => [subjectOf(event), event])).values()];
  const told = parts.ledger.told();
  forgetWhatIsOver(events, told, { ...parts, subjects: new Set(alerts.map(subjectOf)) });
  const failures = await Promise.all(parts.sinks.map((sink) => tellOne(sink, alerts, { parts, told })));
  return failures.flat();
}

/** `subjects`: of this pass's own alerts, which are never over. */
function forgetWhatIsOver(events: readonly GpuctlEvent[], told: readonly Told[], { subjects, ledger, job }: AdminParts & { readonly subjects: ReadonlySet<string> }): void {
  const looked = events.some(({ action }) => action === 'pass.ended') && !events.some(({ action }) => action === 'observe.failed' || action === 'observe.partial');
  const cleared = new Set(events.flatMap(clearedSubjects));
  const over = told.filter((each) => !subjects.has(each.subject) && (cleared.has(each.subject) || (looked && each.job === job)));
  if (over.length > 0) ledger.forgetTold(over);
}

async function tellOne(sink: AdminSink, alerts: readonly GpuctlEvent[], { parts, told }: { readonly parts: AdminParts; readonly told: readonly Told[] }): Promise<readonly GpuctlEvent[]> {
  const id = sinkId(sink);
  const at = parts.now();
  const due = alerts.filter((event) => !told.some((each) => each.sink === id && each.subject === subjectOf(event) && isRecent(at - each.at, parts.cooldownMs)));
  if (due.length === 0) return [];
  const why = await deliver(sink, due, parts);
  if (why === null) parts.ledger.recordTold(due.map((event) => ({ sink: id, subject: subjectOf(event), job: parts.job, at })));
  return why === null ? [] : [failure(sink, why, due.length)];
}

/** A notice from the future was given under a clock that has been put right since. */
function isRecent(ageMs: number, cooldownMs: number): boolean {
  return ageMs >= 0 && ageMs < cooldownMs;
}

async function deliver(sink: AdminSink, alerts: readonly GpuctlEvent[], { host, render, timeoutMs, distrust }: AdminParts): Promise<string | null> {
  const message = messageOf(alerts, { host, render });
  switch (sink.kind) {
    // Loaded here: most passes post nothing.
    case 'webhook': return (await import('./webhook.ts')).postWebhook(sink, message, timeoutMs);
    case 'mail': return sendMail(sink, message, { timeoutMs, distrust });
    case 'exec': return runProgram(sink, message, { timeoutMs, distrust });
  }
}

function failure(sink: AdminSink, why: string, alerts: number): GpuctlEvent {
  return { action: 'notify.failed', message: `${placeOf(sink)} was not told of ${alerts} alert${alerts === 1 ? '' : 's'}: ${why}`, outcome: 'failure', reason: sink.kind, facts: { sink: placeOf(sink), alerts } };
}

/** A webhook's path and query often are its secret. */
function placeOf(sink: AdminSink): string {
  switch (sink.kind) {
    case 'webhook': return `the webhook at ${new URL(sink.url).host}`;
    case 'mail': return `mail to ${sink.to}`;
    case 'exec': return `the program ${sink.program}`;
  }
}

function sinkId(sink: AdminSink): string {
  return createHash('sha256').update(JSON.stringify(sink)).digest('hex').slice(0, 32);
}
