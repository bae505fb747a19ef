import { runChild } from '../../callout/child.ts';
import { type AlertMessage, linesOf, titleOf } from './alert.ts';

export interface MailSink {
  readonly kind: 'mail';
  /** An address without a display name. */
  readonly to: string;
  /** Takes the message on its standard input, as sendmail does. */
  readonly program: string;
}

export interface ExecSink {
  readonly kind: 'exec';
  readonly program: string;
}

/** Why a program is not to be run as root, as somebody else may have written it; null: only root can have. */
export type Distrust = (path: string) => string | null;

interface Run {
  readonly timeoutMs: number;
  readonly distrust: Distrust;
}

/** Hands the message to sendmail. Null: it took it; otherwise why not. */
export function sendMail({ to, program }: MailSink, message: AlertMessage, run: Run): Promise<string | null> {
  const header = [`To: ${to}`, `Subject: ${ascii(titleOf(message))}`, 'MIME-Version: 1.0', 'Content-Type: text/plain; charset=utf-8', 'Content-Transfer-Encoding: 8bit', 'Auto-Submitted: auto-generated'];
  return feed({ program, args: ['-t', '-oi'], input: `${[...header, '', ...linesOf(message)].join('\n')}\n` }, run);
}

/** Runs the program with the events on its standard input, one JSON object a line. Null: it exited with 0; otherwise why not. */
export function runProgram({ program }: ExecSink, message: AlertMessage, run: Run): Promise<string | null> {
  return feed({ program, args: [], input: message.lines.map((line) => `${line}\n`).join('') }, run);
}

async function feed({ program, args, input }: { readonly program: string; readonly args: readonly string[]; readonly input: string }, { timeoutMs, distrust }: Run): Promise<string | null> {
  const why = distrust(program);
  if (why !== null) return `it is not run: it ${why}`;
  const { exitCode, problem, stderr } = await runChild({ file: program, args, timeoutMs, input });
  if (problem !== null) return problem === 'timeout' || problem === 'hung' ? `it did not end within ${timeoutMs} ms` : problem;
  return exitCode === 0 ? null : `it exited with ${exitCode}: ${stderr.trim().slice(0, 200)}`;
}

/** A header line takes nothing else without an encoding of its own. */
function ascii(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?');
}
