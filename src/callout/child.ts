import type { Readable } from 'node:stream';
import { execa } from 'execa';

/** How long a child may take to vanish after SIGKILL before it counts as hung (uninterruptible sleep). */
const REAP_MS = 1000;
const MAX_BYTES = 64 * 1024 * 1024;

export type ChildProblem = 'not-installed' | 'not-permitted' | 'timeout' | 'hung' | 'too-much-output' | 'signal';

/** What a child process said before it ended, or before it was given up. */
export interface ChildResult {
  /** Null: it did not exit by itself. */
  readonly exitCode: number | null;
  /** Decoded as UTF-8; bytes that are not become U+FFFD. */
  readonly stdout: string;
  readonly stderr: string;
  /** Null: it ran and exited, with whatever code. `hung`: it outlived SIGKILL and was abandoned. */
  readonly problem: ChildProblem | null;
  /** Of a child that hung: so that it can be told whether it still lives. Null: it never began. */
  readonly pid?: number | null;
}

/** `file` is run directly, never by a shell. `timeoutMs` is the deadline of the whole call. */
export interface ChildCall {
  readonly file: string;
  readonly args: readonly string[];
  readonly timeoutMs: number;
  /** What it reads on its standard input, which is then closed; not given: it reads nothing. A child that does not read is no fault. */
  readonly input?: string;
}

/**
 * Runs a program to its end or its deadline, and never longer than that by more than REAP_MS: a child that cannot be
 * ended is abandoned, its pipes closed. Never throws and never rejects.
 */
export async function runChild({ file, args, timeoutMs, input }: ChildCall): Promise<ChildResult> {
  const child = execa(file, args, {
    reject: false,
    ...(input === undefined ? { stdin: 'ignore' as const } : { input }),
    buffer: false,
    env: { LC_ALL: 'C' },
  });
  let tooMuch = false;
  const cut = (): void => { tooMuch = true; child.kill('SIGKILL'); };
  const [stdout, stderr] = [gather(child.nodeChildProcess.stdout, cut), gather(child.nodeChildProcess.stderr, cut)];
  const { promise: abandoned, resolve: abandon } = Promise.withResolvers<null>();
  let late = false;
  const timers = [
    setTimeout(() => { late = true; child.kill('SIGKILL'); }, timeoutMs),
    setTimeout(() => { abandon(null); }, timeoutMs + REAP_MS),
  ];
  const result = await Promise.race([child, abandoned]);
  for (const timer of timers) clearTimeout(timer);
  if (result === null) {
    const { nodeChildProcess } = child;
    nodeChildProcess.stdin?.destroy();
    nodeChildProcess.stdout?.destroy();
    nodeChildProcess.stderr?.destroy();
    nodeChildProcess.unref();
    return { exitCode: null, stdout: '', stderr: '', problem: 'hung', pid: nodeChildProcess.pid ?? null };
  }
  const problem = late ? 'timeout' : tooMuch ? 'too-much-output' : problemOf(result);
  return { exitCode: result.exitCode ?? null, stdout: stdout(), stderr: stderr(), problem };
}

/** Gathered here, as execa quotes all that a failed child said in its error and escapes it: ten seconds of work for 64 MiB that are no text. */
function gather(stream: Readable | null | undefined, onTooMuch: () => void): () => string {
  const chunks: Buffer[] = [];
  let size = 0;
  stream?.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= MAX_BYTES) { chunks.push(chunk); return; }
    onTooMuch();
    // A child of the child may go on writing.
    stream.destroy();
  });
  return () => new TextDecoder().decode(Buffer.concat(chunks));
}

function problemOf(result: { code?: string | undefined; exitCode?: number | undefined; isTerminated: boolean }): ChildProblem | null {
  if (result.isTerminated) return 'signal';
  if (result.exitCode !== undefined) return null;
  return result.code === 'ENOENT' || result.code === 'ENOTDIR' ? 'not-installed' : 'not-permitted';
}
