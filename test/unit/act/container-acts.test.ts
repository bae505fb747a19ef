import { describe, expect, it } from 'vitest';
import { createContainerActor } from '../../../src/act/container-actor.ts';
import type { ContainerLook } from '../../../src/act/look-again.ts';
import type { EngineReply } from '../../../src/callout/engine.ts';
import type { ContainerState } from '../../../src/model/container.ts';
import type { ContainerTarget } from '../../../src/model/decision.ts';
import { REASONS } from '../../../src/model/reason.ts';

const target: ContainerTarget = { kind: 'container', containerId: 'c'.repeat(64), containerName: 'job', startedAt: 1000, owner: null };
const there = (state: ContainerState, startedAt: number | null = 1000): ContainerLook => ({ state: 'there', container: { state, startedAt } });
const gone: ContainerLook = { state: 'gone' };
const unknown: ContainerLook = { state: 'unknown', why: 'no answer' };
const problem = (status: number | null, code: 'error' | 'timeout' | 'malformed' | 'refused' = 'error'): EngineReply<null> => ({ ok: false, code, status, why: `HTTP ${status}` });
const ok: EngineReply<null> = { ok: true, value: null };

/** The engine's looks in order (the last one lasts), and its answer to the command. */
function bench(looks: readonly ContainerLook[], answer: EngineReply<null> = ok): { readonly actor: ReturnType<typeof createContainerActor>; readonly asked: string[] } {
  const asked: string[] = [];
  const left = [...looks];
  const actor = createContainerActor({
    engine: {
      stop: async (id, graceS) => { asked.push(`stop ${id.slice(0, 1)} ${graceS}`); return answer; },
      remove: async (id) => { asked.push(`remove ${id.slice(0, 1)}`); return answer; },
    },
    look: async () => (left.length > 1 ? left.shift() : left[0]) ?? unknown,
  });
  return { actor, asked };
}

describe('stopping a container', () => {
  it.each<[string, readonly ContainerLook[], EngineReply<null>, string, string | null, boolean]>([
    ['stops the run that was decided on', [there('running'), there('exited')], ok, 'done', null, true],
    ['stops a paused one', [there('paused'), there('exited')], ok, 'done', null, true],
    ['counts it as stopped where it is started again at once', [there('running'), there('running', 2000)], ok, 'done', null, true],
    ['leaves one that is gone', [gone], ok, 'already-gone', 'gone', false],
    ['leaves one that stopped by itself', [there('exited')], ok, 'already-gone', 'already-stopped', false],
    ['leaves one that has started again', [there('running', 2000)], ok, 'refused', 'restarted', false],
    ['leaves one whose start is not known', [there('running', null)], ok, 'refused', 'restarted', false],
    ['leaves one of which the engine says nothing', [unknown], ok, 'refused', 'container-unknown', false],
    ['leaves one in an unknown state', [there('unknown')], ok, 'refused', 'container-unknown', false],
    ['needs nothing where it stopped in between', [there('running'), there('exited')], problem(304), 'already-gone', 'already-stopped', true],
    ['needs nothing where it vanished in between', [there('running'), gone], problem(404), 'already-gone', 'gone', true],
    ['fails where the engine does', [there('running')], problem(500), 'failed', null, true],
    ['fails where the engine does not answer in time and it runs', [there('running')], problem(null, 'timeout'), 'failed', null, true],
    ['has done it where the engine answers late, but it has stopped', [there('running'), there('exited')], problem(null, 'timeout'), 'done', null, true],
    ['has done it where the answer is cut off, but it has stopped', [there('running'), there('exited')], problem(null, 'malformed'), 'done', null, true],
    ['has done it where the engine fails over it, but it has stopped', [there('running'), there('exited')], problem(500), 'done', null, true],
    ['has no part in it where nobody heard the order', [there('running'), there('exited')], problem(null, 'refused'), 'already-gone', 'already-stopped', true],
    ['has no part in it where the engine refuses', [there('running'), there('exited')], problem(403), 'already-gone', 'already-stopped', true],
    ['does not believe an engine that says it stopped what runs', [there('running')], ok, 'failed', null, true],
    ['does not call done what nobody can see', [there('running'), unknown], ok, 'failed', null, true],
    ['fails where the engine does and nobody can see it', [there('running'), unknown], problem(500), 'failed', null, true],
  ])('%s', async (_, looks, answer, result, reason, asks) => {
    const { actor, asked } = bench(looks, answer);
    expect(await actor.stopContainer(target, 60)).toMatchObject({ result, reason });
    expect(asked).toEqual(asks ? ['stop c 60'] : []);
  });

  it.each<[string, readonly ContainerLook[], EngineReply<null>, string]>([
    ['that it has stopped, and the grace', [there('running'), there('exited')], ok, 'it has stopped (grace 60 s)'],
    ['what the engine answered instead', [there('running'), there('exited')], problem(500), "it has stopped (grace 60 s); the engine's answer: HTTP 500"],
    ['what the engine says', [there('running')], problem(500), 'the engine: HTTP 500'],
    ['that the engine says otherwise', [there('running')], ok, 'the engine says that it stopped, but it runs'],
    ['why it could not be seen', [there('running'), unknown], ok, 'no answer'],
    ['that its state is unknown', [there('unknown')], ok, 'the engine does not say whether it runs'],
    ['that it has stopped already', [there('exited')], ok, REASONS['already-stopped']],
  ])('tells %s', async (_, looks, answer, detail) => {
    expect(await bench(looks, answer).actor.stopContainer(target, 60)).toMatchObject({ detail });
  });

  it.each([['removed', gone], ['started', there('running', 2000)], [undefined, there('exited')]] as const)('knows that one it has stopped is %s since', async (since, look) => {
    expect((await bench([there('running'), look], ok).actor.stopContainer(target, 60)).since).toBe(since);
  });

  it('never stops one that was never started', async () => {
    const { actor, asked } = bench([there('running', null)]);
    expect(await actor.stopContainer({ ...target, startedAt: null }, 60)).toMatchObject({ result: 'refused' });
    expect(asked).toEqual([]);
  });
});

describe('removing a container', () => {
  it.each<[string, readonly ContainerLook[], EngineReply<null>, string, string | null, boolean]>([
    ['removes the one that is at rest', [there('exited'), gone], ok, 'done', null, true],
    ['leaves one that runs (S16)', [there('running')], ok, 'refused', 'still-running', false],
    ['leaves one that is paused', [there('paused')], ok, 'refused', 'still-running', false],
    ['leaves one in an unknown state', [there('unknown')], ok, 'refused', 'still-running', false],
    ['leaves one that has run again since', [there('exited', 2000)], ok, 'refused', 'restarted', false],
    ['leaves one that is dead', [there('dead')], ok, 'refused', 'container-not-settled', false],
    ['leaves one that is gone', [gone], ok, 'already-gone', 'gone', false],
    ['leaves one of which the engine says nothing', [unknown], ok, 'refused', 'container-unknown', false],
    ['is refused by the engine where it starts in between', [there('exited'), there('running', 2000)], problem(409), 'refused', 'still-running', true],
    ['needs nothing where it vanished in between', [there('exited'), gone], problem(404), 'already-gone', 'gone', true],
    ['fails where the engine does', [there('exited')], problem(500), 'failed', null, true],
    ['does not believe an engine that says it removed what is there', [there('exited'), there('dead')], ok, 'failed', null, true],
    ['has done it where the answer is cut off, but it is gone', [there('exited'), gone], problem(null, 'malformed'), 'done', null, true],
    ['has no part in it where another removes it', [there('exited'), gone], problem(409), 'already-gone', 'gone', true],
    ['has no part in it where nobody heard the order', [there('exited'), gone], problem(null, 'refused'), 'already-gone', 'gone', true],
    ['has done it where the engine answers late, but it is gone', [there('exited'), gone], problem(null, 'timeout'), 'done', null, true],
    ['does not call done what nobody can see', [there('exited'), unknown], ok, 'failed', null, true],
  ])('%s', async (_, looks, answer, result, reason, asks) => {
    const { actor, asked } = bench(looks, answer);
    expect(await actor.removeContainer(target)).toMatchObject({ result, reason });
    expect(asked).toEqual(asks ? ['remove c'] : []);
  });

  it('removes one that was created and never started', async () => {
    const { actor, asked } = bench([there('created', null), gone]);
    expect(await actor.removeContainer({ ...target, startedAt: null })).toMatchObject({ result: 'done' });
    expect(asked).toEqual(['remove c']);
  });

  it.each<[string, readonly ContainerLook[], EngineReply<null>, string]>([
    ['that its volumes are kept', [there('exited'), gone], ok, 'it is removed; its volumes are kept'],
    ['what the engine says', [there('exited')], problem(500), 'the engine: HTTP 500'],
    ['that the engine says otherwise', [there('exited'), there('dead')], ok, 'the engine says that it is removed, but it is dead'],
    ['why it could not be seen', [there('exited'), unknown], ok, 'no answer'],
    ['that it runs', [there('running')], ok, REASONS['still-running']],
    ['that it runs again', [there('exited'), there('running')], problem(409), REASONS['still-running']],
    ['that it has run since', [there('exited', 2000)], ok, 'it has run again since it was decided on'],
    ['what state it is in', [there('dead')], ok, 'it is dead'],
  ])('tells %s', async (_, looks, answer, detail) => {
    expect(await bench(looks, answer).actor.removeContainer(target)).toMatchObject({ detail });
  });
});
