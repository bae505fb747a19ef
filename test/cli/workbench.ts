import { createHash } from 'node:crypto';
import { accessSync, readdirSync, readFileSync, lstatSync, readlinkSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, onTestFinished } from 'vitest';
import type { PassReport } from '../../src/passes/report.ts';
import { startHost, type Host, type HostOptions } from '../hostsim/host.ts';
import type { GpuctlLine, GpuctlResult } from '../hostsim/gpuctl-call.ts';

export const REPOSITORY = join(import.meta.dirname, '..', '..');
export const GPUCTL = join(REPOSITORY, 'bin', 'gpuctl');

const isEvent = new Ajv2020({ allErrors: true }).compile(JSON.parse(readFileSync(join(REPOSITORY, 'docs', 'event.schema.json'), 'utf8')) as object);

/** Fails where an event is not what the published schema says. */
export function expectValidEvents(events: readonly GpuctlLine[]): void {
  for (const event of events) expect(isEvent(event) ? [] : { event, errors: isEvent.errors }).toEqual([]);
}

/** Every line of the file must be an event of the published schema; a file that is not there has none. */
function checkEvents(host: Pick<Host, 'events'>): void {
  expectValidEvents(host.events());
}

/** A simulated host for one test. At its end all that it ever wrote to its events file must be valid, and it is removed. */
export function useHost(options: HostOptions = {}): Host {
  const host = startHost(options);
  // The last one comes first.
  onTestFinished(() => host.dispose());
  onTestFinished(() => { checkEvents(host); });
  return host;
}

/** The report that a pass printed with `--json`. */
export function reportIn({ json, stdout, stderr }: GpuctlResult): PassReport {
  expect(json, `not one JSON document: ${stdout}${stderr}`).toBeTypeOf('object');
  return json as PassReport;
}

export function actionsIn(events: readonly GpuctlLine[]): readonly unknown[] {
  return events.map((event) => event['event.action']);
}

/** The events of one action. */
export function eventsOf(events: readonly GpuctlLine[], action: string): readonly GpuctlLine[] {
  return events.filter((event) => event['event.action'] === action);
}

/** One text that changes with any file below a folder: its name, mode and content. */
export function treeHash(folder: string): string {
  const hash = createHash('sha256');
  const walk = (path: string): void => {
    const info = lstatSync(path);
    hash.update(`${path} ${info.mode}\0`);
    if (info.isDirectory()) for (const name of readdirSync(path).toSorted()) walk(join(path, name));
    else if (info.isSymbolicLink()) hash.update(readlinkSync(path));
    else if (info.isFile()) hash.update(readFileSync(path));
  };
  walk(folder);
  return hash.digest('hex');
}

/** A uid that is nobody's and owns nothing. */
export const USER = 64_123;

/** Starts `program` as a user without any right. */
export function asUser(...program: readonly string[]): readonly string[] {
  return ['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--clear-groups', '--', ...program];
}

/** gpuctl as such a user runs it; the checkout may lie where he may not look. */
export function gpuctlAsUser(host: Host): readonly string[] {
  const [file = '', ...args] = asUser(GPUCTL, '--version');
  if (spawnSync(file, args).status === 0) return asUser(GPUCTL);
  const node = join(host.dir, 'node');
  const bundle = join(host.dir, 'gpuctl.cjs');
  spawnSync('cp', ['-L', join(REPOSITORY, 'node_modules', '.bin', 'node'), node]);
  spawnSync('cp', [join(REPOSITORY, 'dist', 'gpuctl.cjs'), bundle]);
  accessSync(bundle);
  return asUser(node, bundle);
}

/** gpuctl on a pseudo-terminal of its own: it reads the lines of `stdin`, and what it shows is all on stdout. Arguments hold no blanks. */
export const ON_TERMINAL: readonly string[] = ['sh', '-c', 'GPUCTL=$1; shift; ARGS=$*; export GPUCTL ARGS; exec script -q -e -E never -c \'exec "$GPUCTL" $ARGS\' /dev/null', 'sh', GPUCTL];
