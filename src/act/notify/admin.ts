import { createHash } from 'node:crypto';
import type { GpuctlEvent } from '../../model/event.ts';
import { isoTime } from '../../model/time.ts';
import type { NoticeLedger, OwedAlert, Told } from '../../passes/ports.ts';
import { alertOf, clearedSubjects, isAlert, messageOf } from './alert.ts';
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

/** An alert that no sink has taken for so long is told by the event file alone. */
const OWED_MS = 24 * 3_600_000;

/** Each costs a write, and a storm is told by its number. */
const OWED_OF_A_PASS = 100;

/**
 * Keeps alerts in the ledger until every sink has taken them, so that neither the end of this process nor a sink that is
 * away loses one; what every sink was told of within the cool-down needs no keeping. Of a pass, the first hundred.
 */
export function alertKeeper(parts: Omit<AdminParts, 'timeoutMs'>): (event: GpuctlEvent) => void {
  const ids = parts.sinks.map(sinkId);
  let [told, kept]: [readonly Told[] | null, number] = [null, 0];
  return (event) => {
    if (kept === OWED_OF_A_PASS || !isAlert(event)) return;
    const known = (told ??= parts.ledger.told());
    const alert = alertOf(event, parts);
    if (!ids.some((id) => isDue(alert, id, { parts, told: known }))) return;
    parts.ledger.recordOwed(alert);
    kept += 1;
  };
}

/**
 * Tells every sink of the alerts of one whole pass that it was not told of within the cool-down, and of those of earlier
 * ones that it is still owed. What the same job alerted earlier and does not any more is forgotten, so that it is told at once
 * when it comes back; a pass that could not look properly forgets nothing. A condition that was cleared is forgotten
 * whichever job was told of it.
 */
export async function tellAdmins(events: readonly GpuctlEvent[], parts: AdminParts): Promise<readonly GpuctlEvent[]> {
  const cleared = new Set(events.flatMap(clearedSubjects));
  const [mine, owed] = [events.filter(isAlert).map((event) => alertOf(event, parts)), parts.ledger.owed()];
  const now = parts.now();
  const alerts = mergedAlerts(mine, owed.filter(({ subject, at }) => !cleared.has(subject) && Math.abs(now - at) <= OWED_MS));
  const told = parts.ledger.told();
  forgetWhatIsOver(events, told, { ...parts, cleared, subjects: new Set(alerts.map(({ subject }) => subject)) });
  const attempts = await Promise.all(parts.sinks.map((sink) => tellOne(sink, alerts, { parts, told })));
  const missed = new Set(attempts.flatMap((attempt) => attempt.missed));
  const settled = owed.filter(({ subject }) => !missed.has(subject));
  if (settled.length > 0) parts.ledger.forgetOwed(settled.map(({ subject }) => subject));
  return attempts.flatMap(({ failures }) => failures);
}

/** Each subject once, as this pass tells it; what an earlier one owes comes first and says of when it is. */
function mergedAlerts(mine: readonly OwedAlert[], owed: readonly OwedAlert[]): readonly OwedAlert[] {
  const earlier = owed.map((alert) => ({ ...alert, sentence: `${alert.sentence} (of ${isoTime(alert.at)})` }));
  return [...new Map([...earlier, ...mine].map((alert) => [alert.subject, alert])).values()];
}

/** `subjects`: of the alerts to be told, which are never over. */
function forgetWhatIsOver(events: readonly GpuctlEvent[], told: readonly Told[], { subjects, cleared, ledger, job }: AdminParts & { readonly subjects: ReadonlySet<string>; readonly cleared: ReadonlySet<string> }): void {
  const looked = events.some(({ action }) => action === 'pass.ended') && !events.some(({ action }) => action === 'observe.failed' || action === 'observe.partial');
  const over = told.filter((each) => !subjects.has(each.subject) && (cleared.has(each.subject) || (looked && each.job === job)));
  if (over.length > 0) ledger.forgetTold(over);
}

interface Attempt {
  readonly failures: readonly GpuctlEvent[];
  /** Subjects that the sink did not take. */
  readonly missed: readonly string[];
}

async function tellOne(sink: AdminSink, alerts: readonly OwedAlert[], { parts, told }: { readonly parts: AdminParts; readonly told: readonly Told[] }): Promise<Attempt> {
  const [id, at] = [sinkId(sink), parts.now()];
  const due = alerts.filter((alert) => isDue(alert, id, { parts, told }));
  if (due.length === 0) return { failures: [], missed: [] };
  const subjects = due.map(({ subject }) => subject);
  const why = await deliver(sink, due, parts);
  if (why !== null) return { failures: [failure(sink, why, due.length)], missed: subjects };
  parts.ledger.recordTold(subjects.map((subject) => ({ sink: id, subject, job: parts.job, at })));
  return { failures: [], missed: [] };
}

/** Neither told within the cool-down, nor since it was emitted. A notice from the future was given under a clock that has been put right since. */
function isDue(alert: OwedAlert, id: string, { parts, told }: { readonly parts: Pick<AdminParts, 'now' | 'cooldownMs'>; readonly told: readonly Told[] }): boolean {
  const now = parts.now();
  return !told.some(({ sink: to, subject, at }) => to === id && subject === alert.subject && at <= now && (now - at < parts.cooldownMs || at > alert.at));
}

async function deliver(sink: AdminSink, alerts: readonly OwedAlert[], { host, timeoutMs, distrust }: AdminParts): Promise<string | null> {
  const message = messageOf(alerts, host);
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
