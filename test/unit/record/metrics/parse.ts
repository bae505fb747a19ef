/** One sample line of the Prometheus text format, taken apart. */
export interface ParsedSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface ParsedFamily {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly samples: readonly ParsedSample[];
}

const NAME = /^[a-z][a-z0-9_]*$/;
const LINE = /^(?<name>[a-z][a-z0-9_]*)(?:\{(?<labels>.*)\})? (?<value>-?\d+(?:\.\d+)?(?:e[+-]\d+)?)$/su;
const LABEL = /(?<key>[a-z][a-z0-9_]*)="(?<text>(?:[^"\\\n]|\\["\\n])*)"(?:,(?=[a-z])|$)/suy;

/**
 * A strict reading of the text format, and of the conventions for names and units: HELP, then TYPE, then at least one
 * sample; families together and once; counters end in _total and nothing else does; no series twice. Throws at the first
 * thing that is not so.
 */
export function parseMetrics(text: string): readonly ParsedFamily[] {
  if (!text.endsWith('\n')) throw new Error('it does not end with a newline');
  const families: { name: string; help: string; type: string; samples: ParsedSample[] }[] = [];
  const series = new Set<string>();
  let help: { name: string; text: string } | null = null;
  for (const line of text.slice(0, -1).split('\n')) {
    const current = families.at(-1);
    const helped = /^# HELP (\S+) ([^\\]+)$/.exec(line);
    const typed = /^# TYPE (\S+) (gauge|counter)$/.exec(line);
    if (helped !== null) {
      if (help !== null || current?.samples.length === 0) throw new Error(`HELP where a sample should be: ${line}`);
      help = { name: helped[1] ?? '', text: helped[2] ?? '' };
    } else if (typed !== null) {
      if (help === null || help.name !== typed[1]) throw new Error(`TYPE without its HELP: ${line}`);
      if (families.some(({ name }) => name === typed[1])) throw new Error(`a family that is not together: ${line}`);
      checkName(typed[1] ?? '', typed[2] ?? '');
      families.push({ name: typed[1] ?? '', help: help.text, type: typed[2] ?? '', samples: [] });
      help = null;
    } else {
      if (help !== null || current === undefined) throw new Error(`a sample without HELP and TYPE: ${line}`);
      const sample = parseSample(line);
      if (sample.name !== current.name) throw new Error(`a sample in the family ${current.name}: ${line}`);
      const key = JSON.stringify([sample.name, Object.entries(sample.labels).toSorted()]);
      if (series.has(key)) throw new Error(`a series twice: ${line}`);
      series.add(key);
      current.samples.push(sample);
    }
  }
  if (help !== null || families.at(-1)?.samples.length === 0) throw new Error('a family without a sample');
  return families;
}

function checkName(name: string, type: string): void {
  if (!NAME.test(name) || !name.startsWith('gpuctl_')) throw new Error(`not a name: ${name}`);
  if (name.endsWith('_total') !== (type === 'counter')) throw new Error(`${name} is a ${type}`);
  if (/_(?:mib|mb|ms|milliseconds|microseconds|percent|us|kilobytes)(?:_|$)/.test(name)) throw new Error(`not a base unit: ${name}`);
}

function parseSample(line: string): ParsedSample {
  const groups = LINE.exec(line)?.groups;
  if (groups === undefined) throw new Error(`not a sample: ${line}`);
  const labels: Record<string, string> = {};
  const given = groups['labels'] ?? '';
  for (let at = 0; at < given.length;) {
    LABEL.lastIndex = at;
    const found = LABEL.exec(given);
    if (found?.groups === undefined) throw new Error(`not labels: ${line}`);
    const key = found.groups['key'] ?? '';
    if (Object.hasOwn(labels, key)) throw new Error(`a label twice: ${line}`);
    labels[key] = (found.groups['text'] ?? '').replaceAll(/\\(["\\n])/g, (_, each: string) => (each === 'n' ? '\n' : each));
    at = LABEL.lastIndex;
  }
  return { name: groups['name'] ?? '', labels, value: Number(groups['value']) };
}
