import * as v from 'valibot';
import { absolutePath, duration, type Field, field, list, oneOf, section, text } from './fields.ts';
import { quote } from './mistake.ts';
import { nearest } from './nearest.ts';
import type { Parsed } from './units.ts';

/** Every kind of sink with the keys it may have besides; the first key names the kind. */
const KINDS = { webhook: ['format'], mail: ['program'], exec: [] } as const;
type Kind = keyof typeof KINDS;
const kinds = Object.keys(KINDS) as readonly Kind[];

/** A plain address: what ends in a header line of a mail holds no blank, comma or bracket. */
const address = text(/^[\w.+-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?$/, 'a mail address such as admin@example.org');

const webhookSink = v.pipe(
  section({ webhook: field(parseWebhook), format: v.exactOptional(oneOf('generic', 'slack')) }),
  v.transform(({ webhook, format = 'generic' }) => ({ kind: 'webhook' as const, url: webhook, format })),
);
const mailSink = v.pipe(
  section({ mail: address, program: v.exactOptional(absolutePath()) }),
  v.transform(({ mail, program = '/usr/sbin/sendmail' }) => ({ kind: 'mail' as const, to: mail, program })),
);
const execSink = v.pipe(section({ exec: absolutePath() }), v.transform(({ exec }) => ({ kind: 'exec' as const, program: exec })));

type AdminSink = v.InferOutput<typeof webhookSink> | v.InferOutput<typeof mailSink> | v.InferOutput<typeof execSink>;

/** The section `notify`. */
export const notifySchema = v.pipe(
  section({ owner: list(oneOf('tty', 'container-file')), admin: list(sinkField()), cooldown: duration(0) }),
  v.transform(({ owner, admin, cooldown }) => ({ owner, admin, cooldownMs: cooldown })),
);

/** The key of the sink decides which other keys it may have, so its mistakes are those of that kind alone. */
function sinkField(): Field<AdminSink> {
  const schemas = { webhook: webhookSink, mail: mailSink, exec: execSink } as const;
  const chosen = v.lazy((input): v.GenericSchema<unknown, AdminSink> => {
    const kind = kindOf(input);
    return kind === null ? v.pipe(v.unknown(), v.rawTransform<unknown, AdminSink>(({ addIssue, NEVER }) => { addIssue({ message: notASink(input) }); return NEVER; })) : schemas[kind];
  });
  return chosen as unknown as Field<AdminSink>;
}

/** Null: it is none, or more than one. */
function kindOf(input: unknown): Kind | null {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) return null;
  const named = kinds.filter((kind) => Object.hasOwn(input, kind));
  return named.length === 1 ? (named[0] ?? null) : null;
}

function notASink(input: unknown): string {
  const form = 'expected one of { webhook: https://… }, { mail: admin@example.org }, { exec: /path/of/a/program }';
  const guess = typeof input === 'object' && input !== null ? Object.keys(input).map((key) => nearest(key, kinds)).find((each) => each !== null) : undefined;
  return guess === undefined ? `${form}; this is ${quote(input)}` : `${form}; did you mean ${guess}?`;
}

function parseWebhook(value: unknown): Parsed<string> {
  const expected = `expected a URL such as https://example.org/hook; this is ${quote(value)}`;
  if (typeof value !== 'string' || value.length > 1000 || /[\p{Cc}\s]/u.test(value) || !URL.canParse(value)) return { problem: expected };
  const { protocol } = new URL(value);
  return protocol === 'https:' || protocol === 'http:' ? { value } : { problem: expected };
}

/** Does an alert to this URL cross a network unencrypted? */
export function isPlainText(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === 'http:' && !/^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(hostname);
}
