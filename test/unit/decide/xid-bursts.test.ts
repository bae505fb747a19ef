import { describe, expect, it } from 'vitest';
import type { Finding } from '../../../src/model/finding.ts';
import type { SeenXid } from '../../../src/model/kernel-log.ts';
import { GPU0, GPU1, HOUR, MINUTE, NOW, SECOND } from './good-case.ts';
import { board1, briefly, type Case, findings, old, xid } from './xid-facts.ts';

const times = (n: number, more: Partial<SeenXid> = {}, code = 31): readonly SeenXid[] => Array.from({ length: n }, (_, at) => xid(code, { at: NOW - HOUR - at * 10 * MINUTE, pid: at, ...more }));
const onOther = { pciBusId: board1.pciBusId };
const told = (xids: readonly SeenXid[], given?: Case): readonly Finding[] => findings(xids, given).filter(({ id }) => /repeated|widespread/.test(id));
const bursts = (xids: readonly SeenXid[], given?: Case): readonly string[] => briefly(told(xids, given));

describe('the same Xid again and again', () => {
  it('on one unit makes the unit suspect', () => {
    expect(bursts(times(5))).toEqual([`gpu.xid.31.repeated warning ${GPU0}`]);
    expect(bursts(times(5, onOther, 13))).toEqual([`gpu.xid.13.repeated warning ${GPU1}`]);
  });

  it('on one unit with four fifths of them makes it suspect, with less the software', () => {
    expect(bursts([...times(8), ...times(2, onOther)])).toEqual([`gpu.xid.31.repeated warning ${GPU0}`]);
    expect(bursts([...times(7), ...times(2, onOther)])).toEqual(['xid.31.widespread info host']);
  });

  it('on several makes the software suspect, also where none has five', () => {
    expect(bursts([...times(5), ...times(4, onOther)])).toEqual(['xid.31.widespread info host']);
    expect(bursts([...times(4), ...times(1, onOther)])).toEqual(['xid.31.widespread info host']);
  });

  it('of both codes is told of each', () => {
    expect(bursts([...times(5), ...times(5, onOther, 13)])).toEqual([`gpu.xid.31.repeated warning ${GPU0}`, `gpu.xid.13.repeated warning ${GPU1}`]);
    expect(bursts([...times(4), ...times(4, {}, 13)])).toEqual([]);
  });

  it('is nothing of the kind where it is rare, long ago, of another code, of a board that nobody knows, of a switch, or there is one GPU to look at', () => {
    expect(bursts(times(4))).toEqual([]);
    expect(bursts([...times(4), ...times(1, { at: NOW - 24 * HOUR })])).toEqual([]);
    expect(bursts(times(9, {}, 62))).toEqual([]);
    expect(bursts(times(9, { pciBusId: '00000000:f0:00.0' }))).toEqual([]);
    expect(bursts(times(9, { kind: 'sxid' }))).toEqual([]);
    expect(bursts(times(9), { gpus: [old] })).toEqual([]);
  });

  it('counts once what one process wrote with no more than a minute in between, in whatever order, and every process by itself', () => {
    const ofOne = (apart: number, order: readonly number[]): readonly SeenXid[] => order.map((nth) => xid(31, { pid: 1, at: NOW - HOUR - nth * apart }));
    const order = [3, 0, 5, 1, 4, 2];
    expect(bursts(ofOne(MINUTE, order))).toEqual([]);
    expect(told(ofOne(61 * SECOND, order))[0]?.message).toMatch(/^Xid 31 6 times/);
    expect(told(times(5, { at: NOW - HOUR }))[0]?.message).toMatch(/^Xid 31 5 times/);
  });

  it('reads so', () => {
    expect(told(times(6))).toEqual([{
      id: 'gpu.xid.31.repeated', severity: 'warning', subject: { gpu: GPU0 },
      message: 'Xid 31 6 times in a day on this GPU, and hardly on the others: the unit is suspect, or the one program that runs on it',
      remedy: 'run the same program on another GPU; if it works there, have this board checked (a memory test, dcgmi diag)',
    }]);
    expect(told([...times(5), ...times(4, onOther)])).toEqual([{
      id: 'xid.31.widespread', severity: 'info', subject: {},
      message: 'Xid 31 9 times in a day on 2 GPUs: the software is suspect rather than a unit',
      remedy: 'find the program that all of them ran',
    }]);
  });
});
