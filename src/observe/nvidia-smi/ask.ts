import { runChild, type ChildCall, type ChildResult } from '../../callout/child.ts';
import { failed, type Observed } from '../../model/observation.ts';
import { classifyFailure, Refusal } from './failure.ts';

/** Where nvidia-smi is (a path, or a name on PATH), and the deadline of each single call. */
export interface NvidiaSmi {
  readonly path: string;
  readonly timeoutMs: number;
  /** What starts it; `runChild` where it is not given. */
  readonly run?: (call: ChildCall) => Promise<ChildResult>;
  /** Told at once of a child that outlived SIGKILL; null: its pid is not known. */
  readonly onHung?: (pid: number | null) => void;
  /** Bus ids at which there may be GPUs, as others than nvidia-smi know them. Asked for only where one bad GPU silences it about all. */
  readonly candidates?: () => readonly string[];
}

/** Reads what nvidia-smi printed and how it exited. */
export type Parser<T> = (stdout: string, exitCode: number) => Observed<T>;

/** What nvidia-smi printed, not read yet. */
export interface Printed {
  readonly said: string;
  readonly exitCode: number;
}

/** @throws {Refusal} where nvidia-smi did not exit by itself: the one case that ends the source at once. */
export async function ask<T>(smi: NvidiaSmi, args: readonly string[], parse: Parser<T>): Promise<Observed<T>> {
  const { said, exitCode } = await call(smi, args);
  return parse(said, exitCode);
}

/** One call, whose answer is read later. Throws as `ask` does. */
export async function call(smi: NvidiaSmi, args: readonly string[]): Promise<Printed> {
  const { exitCode, stdout, stderr, problem, pid } = await (smi.run ?? runChild)({ file: smi.path, args, timeoutMs: smi.timeoutMs });
  if (problem === 'hung') smi.onHung?.(pid ?? null);
  // nvidia-smi itself writes its errors to stdout; the dynamic loader, say, does not.
  const said = stdout === '' && exitCode !== 0 ? stderr : stdout;
  if (problem !== null || exitCode === null) throw new Refusal(classifyFailure(exitCode, said, problem));
  return { said, exitCode };
}

/** @throws {Refusal} where there is no answer. */
export function needed<T>(answer: Observed<T>): T {
  if (answer.state === 'failed') throw new Refusal(answer);
  return answer.value;
}

/** What was read, or the failure that ended the reading. */
export async function orFailed<T>(read: () => Promise<Observed<T>>): Promise<Observed<T>> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof Refusal) return failed(error.code, error.message);
    throw error;
  }
}
