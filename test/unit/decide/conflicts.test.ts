import { describe, expect, it } from 'vitest';
import { decideConflicts } from '../../../src/decide/conflicts.ts';
import type { InspectedContainer } from '../../../src/model/container.ts';
import { plainContainer } from '../../property/host.ts';
import { assessed, GPU0, GPU1, gpuState, JOB, MIG10, migState, STRANGE } from './good-case.ts';

function conflicts(a: Partial<InspectedContainer>, b: Partial<InspectedContainer>): readonly string[] {
  const first = assessed({ gpus: [gpuState(0), migState(1)], containers: [plainContainer(JOB, a), plainContainer(STRANGE, b)] });
  return decideConflicts(first.gpus, first.claims.claims).map(({ gpuUuid, migUuid, containers }) => `${migUuid ?? gpuUuid} ${containers.map(({ id }) => id === JOB ? 'job' : 'other').join()}`);
}

const on = (...ids: readonly string[]): Partial<InspectedContainer> => ({ deviceRequests: [{ driver: '', count: 0, deviceIds: ids, capabilities: [['gpu']] }] });

describe('two live containers', () => {
  it('conflict on a GPU that both claim', () => {
    expect(conflicts(on('0'), on(GPU0))).toEqual([`${GPU0} job,other`]);
  });

  it('conflict on a MIG device that both claim', () => {
    expect(conflicts(on(MIG10), on('1:0'))).toEqual([`${MIG10} job,other`]);
  });

  it.each<[string, Partial<InspectedContainer>, Partial<InspectedContainer>]>([
    ['are on different GPUs', on('0'), on(MIG10)],
    ['are on different MIG devices of one GPU', on('1:0'), on('1:1')],
    ['are not both alive', on('0'), { ...on('0'), state: 'exited' }],
  ])('do not where they %s', (_, a, b) => {
    expect(conflicts(a, b)).toEqual([]);
  });

  it('of which one could not be inspected do not: it is a finding of its own', () => {
    const first = assessed({ gpus: [gpuState(0), gpuState(1)], containers: [plainContainer(JOB, on('0')), { inspected: false, id: STRANGE, name: 'x', state: 'running', why: 'timeout' }] });
    expect(decideConflicts(first.gpus, first.claims.claims)).toEqual([]);
    expect(first.claims.claims.map(({ gpuUuid }) => gpuUuid)).toContain(GPU1);
  });

  it('do not on a MIG device whose UUID is not known: whose it is cannot be told', () => {
    const nameless = migState(1, { migDevices: migState(1).migDevices.map((each) => ({ ...each, uuid: null })) });
    const first = assessed({ gpus: [nameless], containers: [plainContainer(JOB, on(GPU1)), plainContainer(STRANGE, on(GPU1))] });
    expect(first.claims.claims.map(({ gpuUuid }) => gpuUuid)).toContain(GPU1);
    expect(decideConflicts(first.gpus, first.claims.claims)).toEqual([]);
  });

  it('conflict once, however often each refers to the device', () => {
    expect(conflicts({ ...on('0'), labels: { 'gpuctl.device': GPU0 } }, { ...on('0'), deviceNodes: ['/dev/nvidia0'] })).toEqual([`${GPU0} job,other`]);
  });
});
