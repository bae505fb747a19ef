import type { ChildProblem } from '../../callout/child.ts';
import { failed, type FailureCode, type Observed } from '../../model/observation.ts';
import { busIdIn } from './remarks.ts';
import { quote } from './text.ts';

/** Why nvidia-smi's answer cannot be used. */
export interface Failure {
  readonly code: FailureCode;
  /** One line, safe to show. */
  readonly why: string;
}

/** Ends the reading of one answer, or of the source. Never leaves this folder. */
export class Refusal extends Error {
  readonly code: FailureCode;

  constructor({ code, why }: Failure) {
    super(why);
    this.code = code;
  }
}

/** @throws {Refusal} always: the text is not what nvidia-smi prints, or not all of it. */
export function malformed(why: string): never {
  throw new Refusal({ code: 'malformed', why });
}

/** What `read` returns, or the failure that it was refused with. */
export function refusable<T>(read: () => Observed<T>): Observed<T> {
  try {
    return read();
  } catch (error) {
    if (error instanceof Refusal) return failed(error.code, error.message);
    throw error;
  }
}

const PROBLEMS: Readonly<Record<ChildProblem, Failure>> = {
  'not-installed': { code: 'not-installed', why: 'nvidia-smi is not installed' },
  'not-permitted': { code: 'not-permitted', why: 'nvidia-smi could not be started' },
  'timeout': { code: 'timeout', why: 'nvidia-smi did not answer in time and was ended' },
  'hung': { code: 'hung', why: 'nvidia-smi did not answer in time and outlived SIGKILL' },
  'too-much-output': { code: 'malformed', why: 'nvidia-smi printed more than any driver does' },
  'signal': { code: 'error', why: 'nvidia-smi was ended by a signal' },
};

/** Texts that say more than the exit code, which is 0 or 255 for some of them. The first that matches counts. */
const TEXTS: readonly (readonly [RegExp, FailureCode])[] = [
  [/device handle for|Problem with GPU|GPU is lost|GPU requires reset|unstable state/i, 'device-fault'],
  [/version mismatch/i, 'version-mismatch'],
  [/communicate with the NVIDIA driver|find libnvidia-ml|Driver Not Loaded/i, 'no-driver'],
  [/Insufficient Permissions|blocked by the operating system/i, 'not-permitted'],
  [/No devices (?:were )?found/i, 'no-devices'],
  [/is not a valid field|is not recognized|in use by another|could not be reset/i, 'refused'],
];

/** Return values of nvidia-smi, from its manual page (drivers 352 to 590). Codes that are absent here say nothing more than "error". */
const EXIT_CODES: Readonly<Record<number, FailureCode>> = {
  2: 'refused', 3: 'refused', 4: 'not-permitted', 6: 'no-devices', 8: 'device-fault', 9: 'no-driver', 11: 'device-fault',
  12: 'no-driver', 14: 'device-fault', 15: 'device-fault', 17: 'not-permitted', 18: 'version-mismatch', 19: 'refused',
};

/**
 * Names the failure of one call. `problem` is what kept the child from exiting by itself; without one, what it printed
 * decides, then its exit code. Exit 0 with a text that is no known message is `malformed`. `why` is the first line that
 * was printed, after the normalised bus id where it names one.
 */
export function classifyFailure(exitCode: number | null, stdout: string, problem: ChildProblem | null): Failure {
  if (problem !== null) return PROBLEMS[problem];
  const code = TEXTS.find(([pattern]) => pattern.test(stdout))?.[1] ?? codeOf(exitCode);
  return { code, why: reasonIn(stdout, exitCode) };
}

function codeOf(exitCode: number | null): FailureCode {
  if (exitCode === 0) return 'malformed';
  return (exitCode === null ? null : EXIT_CODES[exitCode]) ?? 'error';
}

function reasonIn(stdout: string, exitCode: number | null): string {
  const lines = stdout.split('\n').filter((line) => line.trim() !== '');
  const line = lines.find((text) => /device handle for|Problem with GPU/i.test(text)) ?? lines[0];
  if (line === undefined) return `nvidia-smi printed nothing (exit ${exitCode})`;
  const busId = busIdIn(line);
  return busId === null ? `nvidia-smi (exit ${exitCode}): ${quote(line)}` : `GPU ${busId}: ${quote(line)}`;
}
