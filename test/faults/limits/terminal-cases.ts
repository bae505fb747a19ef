import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { inNamespace } from '../arrange.ts';
import type { Arranged } from '../run.ts';
import type { LimitExpected } from './check.ts';
import type { LimitCase } from './run.ts';
import type { LimitStage } from './stage.ts';

const NOTIFY = { notify: { owner: ['tty'] } };

/** The owner's terminal, with a program behind it that shows what comes. */
interface Terminal {
  readonly path: string;
  readonly child: ChildProcess;
  readonly shown: () => string;
  end(): Promise<void>;
}

async function terminalOf(uid: number, mode = '620'): Promise<Terminal> {
  const child = spawn('setpriv', [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--', 'script', '-q', '-c', `chmod ${mode} "$(tty)"; echo "at $(tty)."; exec sleep 120`, '/dev/null'], { stdio: ['pipe', 'pipe', 'ignore'], detached: true });
  let shown = '';
  child.stdout?.on('data', (chunk: Buffer) => { shown += chunk.toString(); });
  while (!/at \S+\./.test(shown)) await once(child.stdout ?? child, 'data');
  return {
    path: /at (\S+)\./.exec(shown)?.[1] ?? '', child, shown: () => shown,
    async end() {
      const gone = once(child, 'exit');
      try { process.kill(-(child.pid ?? 0), 'SIGKILL'); } catch { /* It has ended. */ }
      if (child.exitCode === null && child.signalCode === null) await gone;
    },
  };
}

/** Nobody reads behind it any more, and it holds as much as it can; the kernel makes room for a while yet. */
async function clog({ child, path }: Terminal): Promise<void> {
  process.kill(child.pid ?? -1, 'SIGSTOP');
  const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  const fill = (): number => { let total = 0; try { for (;;) total += writeSync(fd, Buffer.alloc(1, 0x2e)); } catch { return total; } };
  for (let idle = 0; idle < 5; idle = fill() === 0 ? idle + 1 : 0) await delay(50);
  closeSync(fd);
}

/** The terminals of a container's owner. The warning counts whoever read it, and no terminal holds up the pass. */
export function terminalCases(): readonly LimitCase[] {
  return [
    told('slow', { prepare: ({ child }) => { process.kill(child.pid ?? -1, 'SIGSTOP'); setTimeout(() => { child.kill('SIGCONT'); }, 1500); }, undo: ({ child }) => { child.kill('SIGCONT'); } }),
    told('hung: nobody reads, and it is full', { missed: true, prepare: clog, undo: ({ child }) => { process.kill(child.pid ?? -1, 'SIGCONT'); } }),
    told('gone', { prepare: (terminal) => terminal.end(), isGone: true }),
    told('wants no messages', { mode: '600', isGone: true }),
    told('of somebody else', { stranger: true, isGone: true }),
    // Each of these is all that the pass finds of terminals.
    elsewhere('no terminals', 'mkdir $D/pts && mount --bind $D/pts /dev/pts'),
    elsewhere('a plain file for a terminal', 'mkdir $D/pts && : >$D/pts/1 && chown $U $D/pts/1 && chmod 666 $D/pts/1 && mount --bind $D/pts /dev/pts', 'test ! -s $D/pts/1'),
    elsewhere('a pipe for a terminal', 'mkdir $D/pts && mkfifo $D/pts/1 && chown $U $D/pts/1 && chmod 666 $D/pts/1 && mount --bind $D/pts /dev/pts'),
    elsewhere('a link for a terminal', 'mkdir $D/pts && : >$D/target && chown $U $D/target && chmod 666 $D/target && ln -s $D/target $D/pts/1 && mount --bind $D/pts /dev/pts', 'test ! -s $D/target'),
    elsewhere('another device for a terminal', 'mkdir $D/pts && mknod $D/pts/1 c 1 7 && chown $U $D/pts/1 && chmod 666 $D/pts/1 && mount --bind $D/pts /dev/pts'),
    elsewhere('read-only', 'mount --bind /dev/pts /dev/pts && mount -o remount,bind,ro /dev/pts', 'true', true),
  ];
}

interface Told {
  readonly mode?: string;
  readonly prepare?: (terminal: Terminal) => void | Promise<void>;
  readonly undo?: (terminal: Terminal) => void;
  /** It cannot be delivered, and the event says so. */
  readonly missed?: boolean;
  /** There is no terminal of his that takes messages: no fault, and neither notice is shown. */
  readonly isGone?: boolean;
  readonly stranger?: boolean;
}

function told(fault: string, { mode, prepare, undo, missed = false, isGone = false, stranger = false }: Told): LimitCase {
  let terminal: Terminal | null = null;
  const shows = (text: string): boolean => terminal?.shown().includes(text) === true;
  const expected: LimitExpected = { exits: [0], says: ['container.runtime.warned success'], undelivered: [missed ? 1 : 0, 0], finally: () => (isGone === shows('gpuctl: Your container') ? [`the terminal shows: ${terminal?.shown().slice(-200)}`] : []) };
  return {
    callOut: 'terminal', fault, kind: 'fresh', expected,
    arrange: async (stage) => {
      stage.configure(NOTIFY);
      const mine = (terminal = await terminalOf(stranger ? 65_534 : stage.uid, mode));
      await prepare?.(mine);
      return { undo: async () => { undo?.(mine); if (!isGone) await delay(100); } };
    },
    after: () => terminal?.end(),
  };
}

/** `after`: fails where something was written that must not be. */
function elsewhere(fault: string, commands: string, after = 'true', shown = false): LimitCase {
  let terminal: Terminal | null = null;
  return {
    callOut: 'terminal', fault, kind: 'fresh',
    expected: { exits: [0], says: ['container.runtime.warned success'], between: () => (shown === (terminal?.shown().includes('gpuctl: Your container') === true) ? [] : ['what the terminal shows is not as it must be']) },
    arrange: async (stage: LimitStage): Promise<Arranged> => {
      stage.configure(NOTIFY);
      terminal = await terminalOf(stage.uid);
      return inNamespace(stage, `U=${stage.uid} && ${commands}`, { after: `{ ${after}; } || rc=99` });
    },
    after: () => terminal?.end(),
  };
}
