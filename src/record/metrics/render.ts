import type { Family, Labels, Sample } from './families.ts';

/**
 * The Prometheus text format, version 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/, 2026-11).
 * Families without a sample are left out; a value that is no number is, too. `help` and names are ours, label values are
 * anybody's: a collector that refuses one line refuses the file.
 */
export function renderMetrics(families: readonly Family[]): string {
  return families.map(renderFamily).join('');
}

function renderFamily({ name, type, help, samples }: Family): string {
  const numbers = samples.map(({ labels, value }): Sample => ({ labels, value: rounded(value) })).filter(({ value }) => Number.isFinite(value));
  // One series twice is refused as well; the first counts.
  const series = new Map(numbers.toReversed().map(({ labels, value }) => [renderLabels(labels), value]));
  const lines = [...series].toReversed().map(([labels, value]) => `${name}${labels} ${value}\n`);
  return lines.length === 0 ? '' : `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
}

function renderLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}="${escaped(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

/** Longer than any id or product name. */
const MAX_LABEL = 200;

/** Well-formed UTF-8 in one line; only what the format itself escapes is. */
function escaped(value: string): string {
  const text = value.slice(0, MAX_LABEL).toWellFormed().replaceAll(/\p{Cc}(?<!\n)/gu, '\u{fffd}');
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

/** Without the noise of a change of units: 0.07 instead of 0.07000000000000001. */
function rounded(value: number): number {
  return Number(value.toPrecision(15));
}
