import { quote } from './mistake.ts';

/** A value understood, or one sentence that says what is wrong with it. */
export type Parsed<T> = { readonly value: T } | { readonly problem: string };

const MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const BYTES = { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const;
const FORMS = 'a duration is a whole number and its unit: 90s, 30m, 24h or 7d';
/** Longer is never meant, and sums of a few of these stay exact integers. */
export const LONGEST_MS = 3650 * MS.d;

/** Milliseconds; null: `never`. `0` needs no unit, every other number does. */
export function parseDuration(value: unknown): Parsed<number | null> {
  if (value === 'never') return { value: null };
  if (value === 0 || value === '0') return { value: 0 };
  if (typeof value === 'number') return { problem: `${value} has no unit: ${FORMS}` };
  if (typeof value !== 'string') return { problem: `${FORMS}; this is ${quote(value)}` };
  const match = /^(\d{1,9})([smhd])$/.exec(value);
  if (match === null) return { problem: durationProblem(value) };
  const ms = Number(match[1]) * MS[match[2] as keyof typeof MS];
  return ms > LONGEST_MS ? { problem: `${value} is more than ten years` } : { value: ms };
}

function durationProblem(text: string): string {
  if (text.startsWith('-')) return `${quote(text)} is negative: ${FORMS}`;
  if (/^\d+[.,]\d+/.test(text)) return `${quote(text)} has a fraction: ${FORMS}; half an hour is 30m`;
  if (/^\d+$/.test(text)) return `${quote(text)} has no unit: ${FORMS}`;
  return `${quote(text)} is no duration: ${FORMS}`;
}

/** Bytes. */
export function parseSize(value: unknown): Parsed<number> {
  const match = typeof value === 'string' ? /^(\d{1,6})(KiB|MiB|GiB)$/.exec(value) : null;
  if (match === null) return { problem: `a size is a whole number and its unit: 512KiB, 1MiB or 1GiB; this is ${quote(value)}` };
  return { value: Number(match[1]) * BYTES[match[2] as keyof typeof BYTES] };
}

/** 1 to 100, from `80%`. */
export function parsePercent(value: unknown): Parsed<number> {
  const match = typeof value === 'string' ? /^(\d{1,3})%$/.exec(value) : null;
  const percent = Number(match?.[1]);
  if (percent >= 1 && percent <= 100) return { value: percent };
  return { problem: `a share is written 1% to 100%; this is ${quote(value)}` };
}

/** The shortest text that `parseDuration` reads back as the same; null: `never`. Milliseconds that no unit divides stay `ms`. */
export function renderDuration(ms: number | null): string {
  if (ms === null) return 'never';
  if (ms === 0) return '0';
  if (ms % MS.h === 0) return ms >= 7 * MS.d && ms % MS.d === 0 ? `${ms / MS.d}d` : `${ms / MS.h}h`;
  if (ms % MS.m === 0) return `${ms / MS.m}m`;
  return ms % MS.s === 0 ? `${ms / MS.s}s` : `${ms}ms`;
}
