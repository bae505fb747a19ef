import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

const REPOSITORY = join(import.meta.dirname, '..', '..');

/** Program and arguments that run `command` where /run/gpuctl is the host's own folder and /dev/kmsg its own kernel log; the pid stays the same throughout. */
const OWN_RUN_DIR = [
  'unshare', '--mount', '--propagation', 'slave', 'sh', '-c',
  'dir=$1; shift; mkdir -p /run/gpuctl && mount --bind "$dir" /run/gpuctl && { [ ! -e "$dir/../kmsg" ] || [ ! -e /dev/kmsg ] || mount --bind "$dir/../kmsg" /dev/kmsg; } && exec "$@"', 'sh',
] as const;

export interface GpuctlOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  /** After this it is killed and the result says `signal: 'SIGKILL'`; default one minute. */
  readonly timeoutMs?: number;
  /** Another program than this checkout's gpuctl, given the same arguments. */
  readonly program?: readonly string[];
  /** True: `events` stays empty. A run that is killed, or whose disk is full, may leave half a line. */
  readonly withoutEvents?: boolean;
}

export interface GpuctlResult {
  /** Null: a signal ended it. */
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Lines that this run added to the events file. */
  readonly events: readonly GpuctlLine[];
  /** Stdout as JSON; undefined where it is not one document. */
  readonly json: unknown;
}

/** One parsed event line. */
export type GpuctlLine = Readonly<Record<string, unknown>>;

/** A gpuctl that runs. */
export interface RunningGpuctl {
  readonly pid: number;
  readonly child: ChildProcess;
  readonly done: Promise<GpuctlResult>;
}

/** Starts gpuctl for the host in this folder; `--config` is added unless the arguments have one. */
export function startGpuctl(hostDir: string, args: readonly string[], options: GpuctlOptions = {}): RunningGpuctl {
  const eventsPath = join(hostDir, 'events.jsonl');
  const offset = existsSync(eventsPath) ? statSync(eventsPath).size : 0;
  const config = args.includes('--config') ? [] : ['--config', join(hostDir, 'config.yaml')];
  const [unshare, ...isolation] = OWN_RUN_DIR;
  mkdirSync(join(hostDir, 'run'), { recursive: true });
  const program = options.program ?? [join(REPOSITORY, 'bin', 'gpuctl')];
  const child = spawn(unshare, [...isolation, join(hostDir, 'run'), ...program, ...args, ...config], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { PATH: `${join(hostDir, 'bin')}:${process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin'}`, HOME: '/root', ...options.env },
  });
  // A program that ends without reading its input is no fault of ours.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(options.stdin ?? '');
  return { pid: child.pid ?? -1, child, done: collect(child, { eventsPath: options.withoutEvents === true ? null : eventsPath, offset, timeoutMs: options.timeoutMs ?? 60_000 }) };
}

async function collect(child: ChildProcess, { eventsPath, offset, timeoutMs }: { readonly eventsPath: string | null; readonly offset: number; readonly timeoutMs: number }): Promise<GpuctlResult> {
  const { promise, resolve, reject } = Promise.withResolvers<Pick<GpuctlResult, 'exitCode' | 'signal'>>();
  const deadline = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  const [stdout, stderr] = [gather(child.stdout), gather(child.stderr)];
  child.on('error', reject);
  child.on('close', (exitCode, signal) => { resolve({ exitCode, signal }); });
  const end = await promise;
  clearTimeout(deadline);
  return { ...end, stdout: stdout(), stderr: stderr(), events: eventsPath === null ? [] : readLines(eventsPath, offset), json: parseJson(stdout()) };
}

function gather(stream: NodeJS.ReadableStream | null): () => string {
  const chunks: Buffer[] = [];
  stream?.on('data', (chunk: Buffer) => { chunks.push(chunk); });
  return () => Buffer.concat(chunks).toString('utf8');
}

/** Parses a file of one JSON object a line from a byte offset on; no file is no lines. */
export function readLines(path: string, offset = 0): GpuctlLine[] {
  if (!existsSync(path)) return [];
  const text = readFileSync(path).subarray(offset).toString('utf8');
  return text.split('\n').filter(Boolean).map((line) => JSON.parse(line) as GpuctlLine);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
