import { EVENTS, type GpuctlEvent, type Level } from '../model/event.ts';
import { defused } from '../model/text.ts';
import { type Bounds, clean, snakeCase } from './clean.ts';
import { ECS_VERSION, EVENT_SCHEMA, FACT_NAME, type FieldName, FIELDS } from './event-fields.ts';

/** What all events of one run have in common. */
export interface EventContext {
  readonly host: string;
  /** Null: the event belongs to no pass. */
  readonly pass: string | null;
  readonly job: string | null;
  readonly dryRun: boolean;
  readonly version: string;
  /** Wall time, milliseconds since 1970 UTC. */
  readonly now: () => number;
}

/** Bytes of one line with its newline: what the collectors in use accept as one message. */
export const MAX_LINE_BYTES = 8192;

/** Tried in this order until the line fits. 64 units still hold every id in full; the last one fits whatever the text is. */
const ATTEMPTS: readonly (Bounds & { readonly facts: boolean })[] = [
  { text: 4096, items: 1024, facts: true },
  { text: 1024, items: 256, facts: true },
  { text: 512, items: 64, facts: true },
  { text: 256, items: 32, facts: true },
  { text: 128, items: 16, facts: true },
  { text: 96, items: 8, facts: true },
  { text: 64, items: 4, facts: true },
  { text: 256, items: 0, facts: false },
  { text: 64, items: 0, facts: false },
  { text: 16, items: 0, facts: false },
];

/**
 * One event as one line of JSON with its newline, at most MAX_LINE_BYTES long, in flat dotted names. Whatever the host's
 * texts hold, the line is valid JSON, well-formed UTF-8 and free of characters that drive a terminal; what was shortened or
 * left out is told by `gpuctl.truncated`.
 */
export function renderEvent(event: GpuctlEvent, context: EventContext): string {
  const fixed = fixedFields(event, context);
  const facts = factsOf(event);
  let line = '';
  for (const { facts: withFacts, ...bounds } of ATTEMPTS) {
    const rest = withFacts ? clean(facts.value, bounds) : { value: {}, whole: false };
    const kept = clean(fixed, { ...bounds, items: 64 });
    const truncated = kept.whole && rest.whole && facts.whole ? {} : { 'gpuctl.truncated': true };
    line = `${renderJson({ ...(kept.value as object), ...truncated, ...prefixed(rest.value as object) })}\n`;
    if (Buffer.byteLength(line) <= MAX_LINE_BYTES) return line;
  }
  return line;
}

/** JSON escapes what is below U+0020; a terminal is driven by more than that. */
function renderJson(value: object): string {
  return defused(JSON.stringify(value));
}

function fixedFields(event: GpuctlEvent, context: EventContext): Partial<Record<FieldName, unknown>> {
  const { level, alert } = weightOf(event);
  const all: Partial<Record<FieldName, unknown>> = {
    '@timestamp': new Date(context.now()).toISOString(),
    'ecs.version': ECS_VERSION,
    'log.level': level,
    'message': event.message,
    'event.action': event.action,
    'event.kind': alert ? 'alert' : 'event',
    'event.module': 'gpuctl',
    'event.outcome': event.outcome,
    'event.reason': event.reason,
    'host.name': context.host,
    ...subjectOf(event),
    'gpuctl.schema': EVENT_SCHEMA,
    'gpuctl.version': context.version,
    'gpuctl.pass': context.pass,
    'gpuctl.job': context.job,
    'gpuctl.dry_run': context.dryRun,
    'gpuctl.alert': alert,
  };
  return withoutNulls(all);
}

function subjectOf({ container, process, user, gpu }: GpuctlEvent): Partial<Record<FieldName, unknown>> {
  return {
    'container.id': container?.id,
    'container.name': container?.name,
    'process.pid': process?.pid,
    'process.name': process?.name,
    'user.name': user,
    'gpu.uuid': gpu?.uuid,
    'gpu.index': gpu?.index,
    'gpu.bus_id': gpu?.busId,
    'gpu.mig': gpu?.mig,
    'gpu.verdict': gpu?.verdict,
  };
}

/** What the action carries unless the event says otherwise; an alert is never quieter than a warning. */
function weightOf(event: GpuctlEvent): { readonly level: Level; readonly alert: boolean } {
  const level = event.level ?? EVENTS[event.action].level;
  const alert = event.alert ?? EVENTS[event.action].alert;
  return { level: alert && level !== 'error' ? 'warn' : level, alert };
}

/** The facts under the names they get; one whose name is no name, or is a field's own, is left out. */
function factsOf(event: GpuctlEvent): { readonly value: Readonly<Record<string, unknown>>; readonly whole: boolean } {
  const given = Object.entries(withoutNulls(event.facts ?? {})).map(([key, value]) => [snakeCase(key), value] as const);
  const good = given.filter(([name]) => FACT_NAME.test(name) && !Object.hasOwn(FIELDS, `gpuctl.${name}`));
  return { value: Object.fromEntries(good), whole: good.length === given.length };
}

function prefixed(facts: object): object {
  return Object.fromEntries(Object.entries(facts).map(([name, value]) => [`gpuctl.${name}`, value]));
}

function withoutNulls<T>(record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== null && value !== undefined));
}
