import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { onTestFinished } from 'vitest';

/** A login of this user on a pseudo-terminal of its own, with messages wanted or not; what the terminal shows is on stdout. */
export async function login(uid: number, mesg: 'y' | 'n'): Promise<{ readonly tty: string; readonly shown: () => string; readonly child: ChildProcess }> {
  const child = spawn('setpriv', [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--', 'script', '-q', '-c', `chmod ${mesg === 'y' ? '620' : '600'} "$(tty)"; echo "at $(tty)."; exec sleep 60`, '/dev/null'], { stdio: ['pipe', 'pipe', 'ignore'], detached: true });
  let shown = '';
  child.stdout?.on('data', (chunk: Buffer) => { shown += chunk.toString(); });
  onTestFinished(async () => {
    const gone = once(child, 'exit');
    try { process.kill(-(child.pid ?? 0), 'SIGKILL'); } catch { /* gone already */ }
    if (child.exitCode === null && child.signalCode === null) await gone;
  });
  while (!/at \S+\./.test(shown)) await once(child.stdout ?? child, 'data');
  return { tty: /at (\S+)\./.exec(shown)?.[1] ?? '', shown: () => shown, child };
}
