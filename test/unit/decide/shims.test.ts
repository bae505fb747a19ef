import { expect, it } from 'vitest';
import { shimsFor } from '../../../src/decide/shims.ts';
import type { Shim } from '../../../src/model/process.ts';
import { GONE, JOB, STRANGE } from './good-case.ts';

const shim = (pid: number, containerIds: readonly string[], inContainers?: readonly string[]): Shim => ({ pid, containerIds, ...(inContainers !== undefined && { inContainers }) });
const everyId = (): boolean => true;
const pidsFor = (id: string, shims: readonly Shim[], isOurs: (id: string) => boolean): readonly number[] => shimsFor(id, shims, isOurs).map(({ pid }) => pid);

it('a shim is evidence for the containers that it names alone', () => {
  expect(pidsFor(GONE, [shim(1, [JOB]), shim(2, [JOB, GONE]), shim(3, [])], everyId)).toEqual([2]);
  expect(pidsFor(STRANGE, [shim(1, [JOB]), shim(2, [STRANGE])], (id) => id === JOB)).toEqual([2]);
});

it('what only calls itself a shim, in a container of this engine, is none for another of its containers', () => {
  expect(pidsFor(GONE, [shim(1, [GONE], [JOB]), shim(2, [GONE], [STRANGE]), shim(3, [GONE], [STRANGE, JOB])], (id) => id !== STRANGE)).toEqual([2]);
});

it('in a container of this engine an engine may run, with containers that this one never had', () => {
  expect(pidsFor(STRANGE, [shim(1, [STRANGE], [JOB])], (id) => id === JOB)).toEqual([1]);
});
