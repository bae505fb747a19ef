import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it, onTestFinished } from 'vitest';
import { endProcesses } from '../../../src/act/end-processes.ts';
import type { ProcessTarget } from '../../../src/model/decision.ts';
import type { ActResult, EndingChecks } from '../../../src/passes/ports.ts';
import { readState } from '../../../src/observe/proc/state.ts';
import { systemClock } from '../../../src/cli/compose.ts';

interface Victim {
  readonly child: ChildProcess;
  readonly target: ProcessTarget;
}

/** A real process that has begun its script, ended after the test. */
async function victim(script: string): Promise<Victim> {
  const child = spawn('/bin/sh', ['-c', `${script}; echo ready; while :; do sleep 0.05; done`], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => { child.kill('SIGKILL'); });
  await once(child.stdout, 'data');
  const pid = child.pid ?? 0;
  const state = readState(pid);
  if (state === null || state === 'unreadable') throw new Error('no process');
  return { child, target: { kind: 'process', identity: { pid, startTicks: state.startTicks, bootId: 'b' }, pid, name: 'sh', containerId: null, gpuUuids: [] } };
}

/** What ended a child, once this process has collected it. */
async function signalOf(child: ChildProcess): Promise<string | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.signalCode;
}

const sent: string[] = [];

function end(targets: readonly ProcessTarget[], more: Partial<EndingChecks> & { readonly stopping?: () => boolean; readonly stateOf?: typeof readState } = {}): Promise<readonly ActResult[]> {
  const { stopping = () => false, stateOf = readState, mayEnd = async () => null, stillListed = async () => new Set<number>() } = more;
  sent.length = 0;
  return endProcesses({ clock: systemClock, termGraceMs: 400, stateOf, stopping, signal: (pid, signal) => { sent.push(signal); process.kill(pid, signal); } }, targets, { mayEnd, stillListed });
}

const refusal: ActResult = { result: 'refused', reason: 'looks-differ', detail: '' };

describe('ending real processes', () => {
  it('ends one that listens with SIGTERM alone', async () => {
    const { target, child } = await victim(':');
    expect(await end([target])).toMatchObject([{ result: 'done', reason: null }]);
    expect(sent).toEqual(['SIGTERM']);
    expect(await signalOf(child)).toBe('SIGTERM');
  });

  it('ends one that does not listen with SIGKILL after the grace', async () => {
    const { target, child } = await victim('trap "" TERM');
    expect(await end([target])).toMatchObject([{ result: 'done' }]);
    expect(sent).toEqual(['SIGTERM', 'SIGKILL']);
    expect(await signalOf(child)).toBe('SIGKILL');
  });

  it('gives all of them one grace together', async () => {
    const all = await Promise.all([victim('trap "" TERM'), victim('trap "" TERM'), victim(':')]);
    const began = performance.now();
    const results = await end(all.map(({ target }) => target));
    expect(results.map(({ result }) => result)).toEqual(['done', 'done', 'done']);
    expect(sent).toEqual(['SIGTERM', 'SIGTERM', 'SIGTERM', 'SIGKILL', 'SIGKILL']);
    expect(performance.now() - began).toBeLessThan(3000);
  });

  it('sends nothing to another process of the same pid', async () => {
    const { target, child } = await victim(':');
    const other: ProcessTarget = { ...target, identity: { pid: target.pid, startTicks: (target.identity?.startTicks ?? 0) + 1, bootId: 'b' } };
    expect(await end([other])).toMatchObject([{ result: 'already-gone', reason: 'process-gone' }]);
    expect(sent).toEqual([]);
    expect(child.exitCode).toBeNull();
  });

  it('sends nothing to what has no identity, or whose start time cannot be read', async () => {
    const { target } = await victim(':');
    expect(await end([{ ...target, identity: null }])).toMatchObject([{ result: 'refused', reason: 'process-unreadable' }]);
    expect(await end([target], { stateOf: () => 'unreadable' })).toMatchObject([{ result: 'refused', reason: 'process-unreadable' }]);
    expect(sent).toEqual([]);
  });

  it('sends nothing where the check before the signal says no, and goes on with the others', async () => {
    const [spared, ended] = await Promise.all([victim(':'), victim(':')]);
    const results = await end([spared.target, ended.target], { mayEnd: async ({ pid }) => (pid === spared.target.pid ? refusal : null) });
    expect(results.map(({ result }) => result)).toEqual(['refused', 'done']);
    expect(sent).toEqual(['SIGTERM']);
    expect(spared.child.signalCode).toBeNull();
  });

  it('asks again before SIGKILL', async () => {
    const { target, child } = await victim('trap "" TERM');
    let asked = 0;
    expect(await end([target], { mayEnd: async () => ((asked += 1) === 2 ? refusal : null) })).toEqual([refusal]);
    expect(sent).toEqual(['SIGTERM']);
    expect(child.signalCode).toBeNull();
  });

  it('sends no further signal once the pass was asked to end', async () => {
    const { target } = await victim('trap "" TERM');
    expect(await end([target], { stopping: () => sent.length > 0 })).toMatchObject([{ result: 'refused', reason: 'interrupted' }]);
    expect(sent).toEqual(['SIGTERM']);
  });

  it('says that one had ended by itself', async () => {
    const { target, child } = await victim(':');
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await end([target])).toMatchObject([{ result: 'already-gone' }]);
    expect(sent).toEqual([]);
  });
});

describe('a zombie', () => {
  const target: ProcessTarget = { kind: 'process', identity: { pid: 7, startTicks: 1, bootId: 'b' }, pid: 7, name: 'x', containerId: null, gpuUuids: [] };

  /** Alive until it is signalled, then waiting for a parent that does not come. */
  function zombie(stillListed: EndingChecks['stillListed']): Promise<readonly ActResult[]> {
    let dead = false;
    return endProcesses(
      { clock: systemClock, termGraceMs: 400, stopping: () => false, stateOf: () => ({ startTicks: 1, runState: dead ? 'Z' : 'S' }), signal: () => { dead = true; } },
      [target], { mayEnd: async () => null, stillListed },
    );
  }

  it.each<[string, string, EndingChecks['stillListed']]>([
    ['has ended', 'done', async () => new Set()],
    ['has survived', 'failed', async () => new Set([7])],
    ['may have survived', 'failed', async () => null],
  ])('%s by what the driver lists: %s', async (_, result, stillListed) => {
    expect(await zombie(stillListed)).toMatchObject([{ result }]);
  });
});
