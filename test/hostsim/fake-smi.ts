import { spawn } from 'node:child_process';
import { appendFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { renderComputeApps, renderGpuQuery, renderList, type CsvFormat } from './smi-csv.ts';
import { applyPersistence, applyReset, applySetting } from './smi-control.ts';
import { mainVersion, selectGpus, shortBusId } from './smi-device.ts';
import { renderPmon } from './smi-pmon.ts';
import { initFailure, NVML, type Answer } from './smi-texts.ts';
import { renderXml } from './smi-xml.ts';
import { readWorld, updateWorld, type CallKind, type Fault, type World, type WorldGpu } from './world.ts';

/** One call, as its arguments say. */
interface Call {
  readonly kind: CallKind;
  readonly args: readonly string[];
  readonly id: string | null;
  readonly fields: readonly string[];
  readonly format: CsvFormat;
  /** pmon's `-s`. */
  readonly select: string;
  readonly persistence: boolean;
  /** Of `-c` (a compute mode, without pmon) and `-pl` (a power limit, watts). */
  readonly setting: { readonly computeMode?: string; readonly powerLimitW?: string };
  /** The first option that nvidia-smi does not know. */
  readonly unknown: string | null;
}

const VALUE_OPTIONS: Record<string, string> = { '-i': 'id', '--id': 'id', '-pm': 'pm', '--persistence-mode': 'pm', '-pl': 'pl', '-s': 'select', '-c': 'count', '--query-gpu': 'gpu', '--query-compute-apps': 'apps', '--format': 'format' };
const FLAGS: Record<string, string> = { '-q': 'q', '--query': 'q', '-x': 'x', '--xml-format': 'x', '-L': 'list', '--list-gpus': 'list', '-r': 'reset', '--gpu-reset': 'reset', 'pmon': 'pmon', 'bus': 'bus' };

function parseCall(args: readonly string[]): Call {
  const given: Record<string, string> = {};
  let unknown: string | null = null;
  for (let n = 0; n < args.length; n += 1) {
    const [option = '', ...rest] = (args[n] ?? '').split('=');
    const name = VALUE_OPTIONS[option];
    const flag = FLAGS[option];
    if (name !== undefined) given[name] = rest.length > 0 ? rest.join('=') : (args[(n += 1)] ?? '');
    else if (flag !== undefined) given[flag] = '';
    else unknown ??= option;
  }
  const format = (given['format'] ?? '').split(',');
  const fields = (given['gpu'] ?? given['apps'] ?? '').split(',').map((field) => field.trim());
  return {
    kind: kindOf(given), args, unknown, fields,
    id: given['id'] ?? null,
    format: { header: !format.includes('noheader'), units: !format.includes('nounits') },
    select: given['select'] ?? 'u',
    persistence: given['pm'] === '1',
    setting: { ...(given['count'] === undefined ? {} : { computeMode: given['count'] }), ...(given['pl'] === undefined ? {} : { powerLimitW: given['pl'] }) },
  };
}

function kindOf(given: Record<string, string>): CallKind {
  if ('reset' in given) return 'reset';
  if ('pm' in given) return 'persistence';
  if ('pmon' in given) return 'pmon';
  if ('pl' in given || 'count' in given) return 'setting';
  if ('list' in given) return 'list';
  if ('gpu' in given) return 'query-gpu';
  if ('apps' in given) return 'compute-apps';
  return 'q' in given && 'x' in given ? 'xml' : 'other';
}

/** The world as this call sees it: only the faults that concern it, each counted down. */
function takeWorld(path: string, kind: CallKind): World {
  const concerns = (fault: Fault): boolean => (fault.on === undefined || fault.on.includes(kind)) && fault.times !== 0;
  const world = readWorld(path);
  const counted = world.faults.some((fault) => concerns(fault) && fault.times !== undefined);
  const seen = { ...world, faults: world.faults.filter(concerns) };
  if (counted) {
    updateWorld(path, (now) => {
      for (const fault of now.faults) if (concerns(fault) && fault.times !== undefined) fault.times -= 1;
    });
  }
  return seen;
}

function find<K extends Fault['kind']>(world: World, kind: K): Extract<Fault, { kind: K }> | undefined {
  return world.faults.find((fault): fault is Extract<Fault, { kind: K }> => fault.kind === kind);
}

/** The whole answer to a call; null: it never comes. */
function answer(path: string, world: World, call: Call): Answer | null {
  const hang = find(world, 'hang');
  if (hang !== undefined) { hangForEver(hang.style, path); return null; }
  const told = find(world, 'print');
  if (told !== undefined) return { text: told.text, exitCode: told.exitCode ?? 0 };
  const exit = find(world, 'exit');
  if (exit !== undefined) return exitWith(world, exit.code);
  if (call.unknown !== null || call.kind === 'other') {
    return { text: `ERROR: Option ${call.unknown ?? call.args[0] ?? ''} is not recognized. Please run 'nvidia-smi -h'.\n\n`, exitCode: 255 };
  }
  return answerForDevices(path, world, call);
}

function exitWith(world: World, code: Extract<Fault, { kind: 'exit' }>['code']): Answer {
  const byDevice = { 8: 'power', 11: 'irq', 15: 'lost' } as const;
  if (code !== 8 && code !== 11 && code !== 15) return { text: initFailure(code, world.driver), exitCode: code };
  return { text: `Unable to determine the device handle for GPU${shortBusId(world.gpus[0]?.busId ?? '')}: ${NVML[byDevice[code]].handle}`, exitCode: code };
}

function answerForDevices(path: string, world: World, call: Call): Answer {
  const chosen = selectGpus(world, call.id);
  if (chosen === null || (world.gpus.length === 0 && call.kind !== 'list')) return { text: 'No devices were found\n', exitCode: 6 };
  const dropped = new Set(world.faults.flatMap((fault) => (fault.kind === 'drop-gpu' ? [fault.gpu] : [])));
  const gpus = chosen.filter(({ uuid }) => !dropped.has(uuid));
  const sick = world.faults.find((fault) => fault.kind === 'sick-gpu' && fault.style === 'handle');
  if (sick?.kind !== 'sick-gpu') return render(path, world, call, gpus);
  const bad = world.gpus.find(({ uuid }) => uuid === sick.gpu);
  return bad === undefined ? render(path, world, call, gpus) : withoutHandle({ path, world, call, gpus, bad, error: sick.error });
}

interface Handleless { path: string; world: World; call: Call; gpus: WorldGpu[]; bad: WorldGpu; error: keyof typeof NVML }

/** Up to 555 one missing handle ends the call (or, for these two errors, drops the GPU); later drivers say so and go on. */
function withoutHandle({ path, world, call, gpus, bad, error }: Handleless): Answer {
  const { handle, exitCode } = NVML[error];
  const healthy = gpus.filter((gpu) => gpu !== bad);
  if (call.id?.startsWith('GPU-') === true) return { text: `Problem with GPU ${shortBusId(bad.busId)}: ${handle}`, exitCode: 255 };
  if (call.id !== null && healthy.length === gpus.length) return render(path, world, call, gpus);
  if (mainVersion(world) > 555) {
    const line = `Unable to determine the device handle for GPU${bad.index}: ${shortBusId(bad.busId)}: ${handle}`;
    const rest = healthy.length === 0 ? { text: 'No devices were found\n', exitCode: 6 } : render(path, world, call, healthy);
    return { text: line + rest.text, exitCode: rest.exitCode };
  }
  if (call.kind === 'list') {
    const before = gpus.slice(0, gpus.indexOf(bad));
    return { text: `${before.length === 0 ? '' : renderList(world, before).text}Unable to determine the device handle for gpu ${shortBusId(bad.busId)}: ${handle}`, exitCode };
  }
  if (call.kind === 'xml' && (error === 'no-permission' || error === 'not-found')) return render(path, world, call, healthy);
  return { text: `Unable to determine the device handle for GPU${shortBusId(bad.busId)}: ${handle}`, exitCode };
}

function render(path: string, world: World, call: Call, gpus: readonly WorldGpu[]): Answer {
  switch (call.kind) {
    case 'xml': return { text: renderXml(world, gpus, new Date()), exitCode: 0 };
    case 'list': return renderList(world, gpus);
    case 'query-gpu': return renderGpuQuery(world, gpus, call.fields, call.format);
    case 'compute-apps': return renderComputeApps(world, gpus, call.fields, call.format);
    case 'pmon': return renderPmon(world, gpus, call.select);
    case 'reset': return reset(path, world, call, gpus);
    case 'persistence': return change(path, world, gpus, (_, its) => applyPersistence(its, call.persistence));
    case 'setting': return change(path, world, gpus, (_, its) => applySetting(its, call.setting));
    case 'other': throw new Error('never rendered');
  }
}

function reset(path: string, seen: World, { args }: Call, gpus: readonly WorldGpu[]): Answer {
  const isRoot = process.getuid?.() === 0;
  const act = (world: World, its: readonly WorldGpu[]): Answer => applyReset(world, its, { args, now: Date.now(), isRoot });
  // Others are refused whatever the world says, and could not write it.
  return isRoot ? change(path, seen, gpus, act) : act(seen, gpus);
}

/** Runs a change on the world as it is in the file now, with this call's faults. */
function change(path: string, seen: World, gpus: readonly WorldGpu[], act: (world: World, gpus: WorldGpu[]) => Answer): Answer {
  return updateWorld(path, (world) => {
    const { faults } = world;
    world.faults = seen.faults;
    const result = act(world, world.gpus.filter((gpu) => gpus.some(({ uuid }) => uuid === gpu.uuid)));
    world.faults = faults;
    return result;
  });
}

function hangForEver(style: 'plain' | 'ignores-term' | 'unreapable', worldPath: string): void {
  if (style === 'ignores-term') process.on('SIGTERM', () => undefined);
  // A child in D state outlives SIGKILL and keeps its pipes: to the caller, a grandchild that holds them looks the same.
  // Its argv[0] is how the host's sweep finds it.
  if (style === 'unreapable') spawn('/bin/sleep', ['600'], { argv0: `${worldPath}.sleep`, stdio: ['ignore', 'inherit', 'inherit'], detached: true });
  setInterval(() => undefined, 2 ** 30);
}

function print(bytes: Buffer): void {
  for (let rest = bytes; rest.length > 0;) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
  }
}

/** Answers one invocation of the simulated nvidia-smi. */
export function main(args: readonly string[], worldPath: string): void {
  const call = parseCall(args);
  const world = takeWorld(worldPath, call.kind);
  appendFileSync(world.log ?? join(dirname(worldPath), 'calls.jsonl'), `${JSON.stringify({ args, kind: call.kind, pid: process.pid, at: Date.now() })}\n`);
  const said = answer(worldPath, world, call);
  if (said === null) return;
  const cut = find(world, 'truncate');
  print(Buffer.from(said.text).subarray(0, cut?.bytes));
  process.exitCode = said.exitCode;
}

/** The answer to a call that changes nothing, without a process: for the pre-rendered nvidia-smi of benchmarks. */
export function renderCall(worldPath: string, args: readonly string[]): Answer {
  const call = parseCall(args);
  return answerForDevices(worldPath, readWorld(worldPath), call);
}

if (import.meta.main) {
  const worldPath = process.env['HOSTSIM_WORLD'];
  if (worldPath === undefined) throw new Error('HOSTSIM_WORLD does not name a world file');
  main(process.argv.slice(2), worldPath);
}
