import * as v from 'valibot';
import { type Field, field, list, named, oneOf, section, text } from './fields.ts';
import { type LimitKey, limitFields, type Limits, namedLimits } from './limit-fields.ts';
import { quote } from './mistake.ts';
import { USER_NAME, USER_NAME_FORM, WORD, WORD_FORM } from './names.ts';
import type { Parsed } from './units.ts';

const userName = text(USER_NAME, USER_NAME_FORM);

type Optional<E extends v.ObjectEntries> = { [K in keyof E]: v.ExactOptionalSchema<E[K], undefined> };

function optional<E extends v.ObjectEntries>(entries: E): Optional<E> {
  return Object.fromEntries(Object.entries(entries).map(([key, entry]) => [key, v.exactOptional(entry)])) as Optional<E>;
}

const someLimits: Field<Partial<Limits>> = v.pipe(section(optional(limitFields)), v.transform(namedLimits));
const allLimits: Field<Limits> = v.pipe(section(limitFields), v.transform((all) => namedLimits(all) as Limits));

/** A group before its members file was read; `members_file` is gone when the whole is parsed. */
const group = v.pipe(
  section({
    ...optional(limitFields),
    members: v.exactOptional(list(userName)),
    members_file: v.exactOptional(text(/[^/]$/, 'the path of a file')),
    group: v.exactOptional(userName),
  }),
  v.transform(({ members = [], group: unixGroup = null, members_file: _membersFile, ...limits }) => ({
    members,
    /** Members of this Unix group belong to it as well; null: none. */
    unixGroup,
    limits: namedLimits(limits),
  })),
);

/** The section `limits`. */
export const limitsSchema = v.pipe(
  section({
    trust_labels: list(oneOf('owner', 'type')),
    default: allLimits,
    types: named(WORD, WORD_FORM, someLimits),
    groups: named(WORD, WORD_FORM, group),
    users: named(USER_NAME, USER_NAME_FORM, someLimits),
  }),
  v.transform(({ trust_labels: trustLabels, groups, ...rest }) => ({
    trustLabels,
    ...rest,
    /** In file order: an owner is in the first that fits. */
    groups: Object.entries(groups).map(([name, each]) => ({ name, ...each })),
  })),
);

const exemptable = ['idle_timeout', 'max_runtime'] as const satisfies readonly LimitKey[];

/** One exemption. Only limits that stop a container can be exempted from. */
export const exemptionSchema = v.pipe(
  section({
    user: userName,
    from: list(oneOf(...exemptable)),
    reason: text(/\S/, 'a reason'),
    until: field(parseLastDay),
  }),
  v.transform(({ until, ...rest }) => ({
    ...rest,
    /** First millisecond since 1970 UTC after its last day, which ends at midnight of the host's time zone. */
    untilAt: until,
  })),
);

function parseLastDay(value: unknown): Parsed<number> {
  const match = typeof value === 'string' ? /^(20\d\d)-(\d\d)-(\d\d)$/.exec(value) : null;
  const [year, month, day] = match?.slice(1).map(Number) ?? [];
  if (year === undefined || month === undefined || day === undefined) return { problem: `expected a date such as 2026-12-24; this is ${quote(value)}` };
  const written = new Date(Date.UTC(year, month - 1, day));
  if (written.getUTCMonth() !== month - 1 || written.getUTCDate() !== day) return { problem: `${quote(value)} is no day of the calendar` };
  return { value: new Date(year, month - 1, day + 1).getTime() };
}
