import { describe, expect, it } from 'vitest';
import { endProcesses, type EndingParts, type ProcessState } from '../../../src/act/end-processes.ts';
import type { ProcessTarget } from '../../../src/model/decision.ts';
import type { EndingChecks } from '../../../src/passes/ports.ts';

/** The process at an instant, in milliseconds since the beginning; null: there is none. */
type Life = (atMs: number, signals: readonly string[]) => ProcessState;

const PID = 4711;
const own = (runState = 'S'): ProcessState => ({ startTicks: 100, runState });
const another = (runState = 'S'): ProcessState => ({ startTicks: 200, runState });
const target: ProcessTarget = { kind: 'process', identity: { pid: PID, startTicks: 100, bootId: 'b' }, pid: PID, name: 'python', containerId: null, gpuUuids: [] };

function failing(code: string): () => never {
  return () => { throw Object.assign(new Error(`kill ${code}`), { code }); };
}

/** One process that lives as `life` says, on a clock that only moves while gpuctl waits: its outcome, the signals, and the time that was waited. */
async function outcomeOf(life: Life, { signal, ...checks }: Partial<EndingChecks> & { readonly signal?: () => void } = {}): Promise<object> {
  let atMs = 0;
  const signals: string[] = [];
  const [result] = await endProcesses({
    clock: { now: () => atMs, monotonicMs: () => atMs, sleep: async (ms) => { atMs += ms; } } as EndingParts['clock'],
    termGraceMs: 10_000, stopping: () => false,
    stateOf: () => life(atMs, signals),
    signal: (_pid, name) => { signal?.(); signals.push(name); },
  }, [target], { mayEnd: async () => null, stillListed: async () => new Set(), ...checks });
  return { ...result, signals, waitedMs: atMs };
}

describe('what is said of a process that was to be ended', () => {
  it('it has ended where another has its pid after SIGTERM, which gets no signal', async () => {
    expect(await outcomeOf((_, signals) => (signals.length === 0 ? own() : another()))).toEqual({ result: 'done', reason: null, detail: 'it has ended', signals: ['SIGTERM'], waitedMs: 0 });
  });

  it('it has ended where another that is a zombie has its pid, and the driver is not asked', async () => {
    const stillListed = async (): Promise<null> => { throw new Error('asked'); };
    expect(await outcomeOf((_, signals) => (signals.length === 0 ? own() : another('Z')), { stillListed })).toMatchObject({ result: 'done', detail: 'it has ended' });
  });

  it('it has ended where it goes while the check before SIGKILL is made', async () => {
    let asked = 0;
    expect(await outcomeOf(() => (asked === 2 ? null : own()), { mayEnd: async () => { asked += 1; return null; } })).toEqual({ result: 'done', reason: null, detail: 'it has ended', signals: ['SIGTERM'], waitedMs: 10_000 });
  });

  it('it had ended by itself where it is gone before the first signal, by the table or by the signal', async () => {
    const expected = { result: 'already-gone', reason: 'process-gone', detail: 'it had ended by itself', signals: [] };
    expect(await outcomeOf(() => null)).toMatchObject(expected);
    expect(await outcomeOf(() => another())).toMatchObject(expected);
    expect(await outcomeOf(() => own(), { signal: failing('ESRCH') })).toMatchObject(expected);
  });

  it('why it was spared, and that lasts: it is neither waited for nor signalled later on', async () => {
    const refusal = { result: 'refused', reason: 'looks-differ', detail: 'it is another container’s' } as const;
    const answers = [refusal];
    expect(await outcomeOf(() => own(), { mayEnd: async () => answers.shift() ?? null })).toEqual({ ...refusal, signals: [], waitedMs: 0 });
  });

  it('it could not be signalled, and why', async () => {
    expect(await outcomeOf(() => own(), { signal: failing('EPERM') })).toMatchObject({ result: 'failed', reason: null, detail: 'SIGTERM: kill EPERM', signals: [] });
  });

  it('it is still there 5 s after SIGKILL', async () => {
    expect(await outcomeOf(() => own())).toMatchObject({ result: 'failed', reason: 'stuck', detail: 'it is still there 5 s after SIGKILL', signals: ['SIGTERM', 'SIGKILL'], waitedMs: 15_000 });
  });

  it('it is not known to be gone while it cannot be read, and is signalled no more', async () => {
    expect(await outcomeOf((_, signals) => (signals.length === 0 ? own() : 'unreadable'))).toMatchObject({ result: 'refused', reason: 'process-unreadable', detail: 'its start time cannot be compared', signals: ['SIGTERM'], waitedMs: 10_000 });
  });

  it.each(['Z', 'X'])('a dead one in state %s is waited for no longer, and the driver says whether it has ended', async (runState) => {
    const life: Life = (_, signals) => own(signals.length === 0 ? 'S' : runState);
    expect(await outcomeOf(life)).toMatchObject({ result: 'done', detail: 'it has ended; its parent has not collected it yet', signals: ['SIGTERM'], waitedMs: 0 });
    expect(await outcomeOf(life, { stillListed: async () => new Set([PID]) })).toMatchObject({ result: 'failed', reason: 'zombie', detail: 'it is a zombie, and the driver still lists it' });
    expect(await outcomeOf(life, { stillListed: async () => null })).toMatchObject({ result: 'failed', reason: 'process-list-unknown', detail: 'it is a zombie, and the driver does not say whether it still holds the device' });
  });

  it('the driver is asked for nobody whose outcome is known', async () => {
    const stillListed = async (): Promise<null> => { throw new Error('asked'); };
    const refusal = { result: 'refused', reason: 'looks-differ', detail: '' } as const;
    expect(await outcomeOf(() => own('Z'), { mayEnd: async () => refusal, stillListed })).toMatchObject(refusal);
    expect(await outcomeOf(() => own(), { stillListed })).toMatchObject({ result: 'failed', reason: 'stuck' });
    expect(await outcomeOf((atMs) => (atMs < 10_500 ? own() : null), { stillListed })).toMatchObject({ result: 'done', detail: 'it has ended', signals: ['SIGTERM', 'SIGKILL'], waitedMs: 10_500 });
  });
});
