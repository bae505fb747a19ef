import { type Effort, heading, median, say, withHook } from './measure.ts';
import { withContainers } from './room.ts';

/** An instant, on the clock that all processes of a machine share. */
interface Mark {
  readonly what: string;
  readonly begunNs: number;
  readonly endedNs: number;
}

/** Loaded before the bundle: writes down when each child and each question to the engine began and ended. */
const HOOK = (file: string): string => `
const now = () => Number(process.hrtime.bigint());
const marks = [{ what: 'node itself', begunNs: now(), endedNs: now() }];
const children = require('node:child_process');
const spawn = children.spawn;
children.spawn = function (program, args, ...rest) {
  const mark = { what: 'child: ' + String(program).split('/').pop() + ' ' + (args ?? []).join(' ').slice(0, 30), begunNs: now(), endedNs: 0 };
  marks.push(mark);
  const child = spawn.call(this, program, args, ...rest);
  child.once('exit', () => { mark.endedNs = now(); });
  return child;
};
const http = require('node:http');
const request = http.request;
http.request = function (options, ...rest) {
  const path = String(options.path).replace(/^\\/v[\\d.]+/, '').replace(/\\?.*/, '').replace(/[0-9a-f]{64}/, 'ID');
  const mark = { what: 'engine: ' + path, begunNs: now(), endedNs: 0 };
  marks.push(mark);
  const call = request.call(this, options, ...rest);
  // A connection that is kept is closed long after its answer.
  call.once('close', () => { mark.endedNs ||= now(); });
  call.once('response', (response) => response.once('end', () => { mark.endedNs = now(); }));
  return call;
};
process.on('exit', () => { marks.push({ what: 'end', begunNs: now(), endedNs: now() }); require('node:fs').writeFileSync(${file}, JSON.stringify(marks)); });
`;

/** Where the time of a pass goes: real containers, an instant nvidia-smi, medians. Phases lie side by side where it says so. */
export async function benchPhases({ runs, quick }: Effort): Promise<void> {
  heading(`where the time goes: medians of ${runs} runs`);
  const [running, created] = quick ? [10, 40] : [50, 250];
  await withContainers({ running, created }, (host) => {
    for (const job of ['health-check', 'check-idle', 'sample']) {
      const args = [job, '--quiet', '--config', host.configPath];
      withHook(HOOK, args);
      const all = Array.from({ length: runs }, () => phasesOf(withHook(HOOK, args)));
      say(`${job}, ${running + created} containers, ${running} of them running`, '');
      for (const name of all[0]?.keys() ?? []) say(`  ${name}`, `${median(all.map((phases) => phases.get(name) ?? Number.NaN)).toFixed(1).padStart(6)} ms`);
    }
  });
}

function phasesOf({ text, startedNs, endedNs }: ReturnType<typeof withHook>): ReadonlyMap<string, number> {
  const marks = JSON.parse(text) as readonly Mark[];
  const [hooked, last] = [marks[0], marks.at(-1)];
  if (hooked === undefined || last === undefined) throw new Error('nothing was written down');
  const calls = marks.slice(1, -1);
  const children = calls.filter(({ what }) => what.startsWith('child'));
  const inspects = calls.filter(({ what }) => what === 'engine: /containers/ID/json');
  const others = calls.filter((call) => !children.includes(call) && !inspects.includes(call));
  const ms = (ns: number): number => ns / 1e6;
  const lastAnswer = Math.max(...calls.map((call) => call.endedNs));
  const phases: (readonly [string, number])[] = [
    ['node itself, to the first line', ms(hooked.begunNs - Number(startedNs))],
    ['to the first child: bundle, configuration, ledger', ms(Math.min(...calls.map((call) => call.begunNs)) - hooked.begunNs)],
    ...children.map((call) => [call.what, ms(call.endedNs - call.begunNs)] as const),
    ...others.map((call) => [call.what, ms(call.endedNs - call.begunNs)] as const),
    [`engine: ${inspects.length} inspects, first to last`, ms(Math.max(0, ...inspects.map((call) => call.endedNs)) - Math.min(...inspects.map((call) => call.begunNs)))],
    ['from the last answer to the end: rules, ledger, events', ms(last.begunNs - lastAnswer)],
    ['end of the process', ms(Number(endedNs) - last.endedNs)],
    ['all of it', ms(Number(endedNs) - Number(startedNs))],
  ];
  const seen = new Map<string, number>();
  for (const [name, value] of phases) seen.set(seen.has(name) ? `${name} (again)` : name, value);
  return seen;
}
