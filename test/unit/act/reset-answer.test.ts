import { describe, expect, it } from 'vitest';
import { parseResetAnswer, type ResetRefusal } from '../../../src/act/reset-answer.ts';
import type { ChildResult } from '../../../src/callout/child.ts';
import { captureAnswer, hasCaptures } from '../../hostsim/captures.ts';
import { resetRefusal } from '../../hostsim/smi-texts.ts';
import type { ResetRefusal as Simulated } from '../../hostsim/world.ts';

const BUS = '00000000:11:00.0';

function ran(stdout: string, exitCode: number | null = 255, problem: ChildResult['problem'] = null): ChildResult {
  return { stdout, stderr: '', exitCode, problem };
}

function meaning(result: ChildResult, bus = BUS): string {
  const answer = parseResetAnswer(result, bus);
  return answer.kind === 'done' ? 'done' : answer.why;
}

describe('the answer to a reset', () => {
  it.each<[string, ChildResult, ResetRefusal | 'done']>([
    ['this GPU was reset', ran(`GPU ${BUS} was successfully reset.\nAll done.\n`, 0), 'done'],
    ['it was reset, in short form', ran('GPU 0000:11:00.0 was successfully reset.\n', 0), 'done'],
    ['another GPU was reset', ran('GPU 00000000:10:00.0 was successfully reset.\nAll done.\n', 0), 'nvlink'],
    ['this GPU of another domain was reset', ran('GPU 00000001:11:00.0 was successfully reset.\nAll done.\n', 0), 'nvlink'],
    ['nothing was said', ran('', 0), 'unrecognised'],
    ['it was ended by its deadline', ran('', null, 'timeout'), 'hung'],
    ['it could not even be ended', ran('', null, 'hung'), 'hung'],
    ['a set is to be reset together', ran(`GPU ${BUS} must be reset together with its peers\n`), 'nvlink'],
    ['it is one of a set', ran(`GPU ${BUS} is a member of an NVLink set\n`), 'nvlink'],
    ['the others are to be named', ran('Please append the other indexes.\n'), 'nvlink'],
    ['another sentence quotes the success', ran(`It is not so that GPU ${BUS} was successfully reset.\n`, 0), 'unrecognised'],
    ['it was reset, but did not end in time', ran(`GPU ${BUS} was successfully reset.\n`, 0, 'timeout'), 'hung'],
  ])('%s', (_, result, expected) => {
    expect(meaning(result)).toBe(expected);
  });

  it.each<[Simulated, ResetRefusal, ResetRefusal]>([
    ['in-use', 'in-use', 'in-use'], ['unavailable', 'in-use', 'in-use'], ['not-supported', 'not-supported', 'not-supported'], ['no-permission', 'not-permitted', 'not-permitted'],
    ['lost', 'lost', 'unstable'], ['unknown', 'unrecognised', 'unstable'], ['primary', 'primary', 'primary'], ['nvlink', 'nvlink', 'nvlink'],
  ])('that refuses as %s is known for what it is, in the words of new boards and of old ones, and says what to do', (as, onNew, onOld) => {
    for (const [newPath, expected] of [[true, onNew], [false, onOld]] as const) {
      const { text, exitCode } = resetRefusal(as, { bus: BUS, newPath, peers: ['00000000:10:00.0', BUS] });
      const answer = parseResetAnswer(ran(text, exitCode), BUS);
      expect(answer).toMatchObject({ kind: 'refused', why: expected });
      if (answer.kind === 'refused' && expected !== 'unrecognised') expect(answer.detail).toMatch(/; [\w ]{10}/);
    }
  });
});

describe('a refusal as an admin reads it', () => {
  const said = (text: string): ChildResult => ran(`  ${text}\n`);
  it.each<[ChildResult, string]>([
    [said('In use by another client'), 'nvidia-smi (exit 255): In use by another client; somebody has it open whom /proc does not show as a holder of its node: stop monitoring services such as DCGM or an exporter, or list them under reset.pause_services'],
    [said('reset together with others'), 'nvidia-smi (exit 255): reset together with others; it is joined to other GPUs by NVLink, and gpuctl never resets more than the one: drain them all and reset them together by hand'],
    [said('it is the primary GPU'), 'nvidia-smi (exit 255): it is the primary GPU; it drives the display of this host: only a reboot resets it'],
    [said('GPU is lost'), 'nvidia-smi (exit 255): GPU is lost; only a reboot of the host brings it back'],
    [said('it is in an unstable state'), 'nvidia-smi (exit 255): it is in an unstable state; reboot the host'],
    [said('Insufficient Permissions'), 'nvidia-smi (exit 255): Insufficient Permissions; run as root, outside of a container'],
    [said('not supported'), 'nvidia-smi (exit 255): not supported; this board or this virtual machine cannot reset it: reboot the host instead'],
    [said('A GPU reset must occur'), 'nvidia-smi (exit 255): A GPU reset must occur; the driver does not hand it out any more: reboot the host, or unload and load the driver'],
    [ran('', null, 'timeout'), 'nvidia-smi (timeout): ; see the kernel log; it is not known whether the reset took place'],
    [said('Unknown Error'), 'nvidia-smi (exit 255): Unknown Error'],
    [{ ...ran('  one\n\n  two  \n'), stderr: ' three\n' }, 'nvidia-smi (exit 255): one two three'],
    [{ ...ran('one'), stderr: 'two' }, 'nvidia-smi (exit 255): one two'],
    [said('x'.repeat(600)), `nvidia-smi (exit 255): ${'x'.repeat(500)}`],
  ])('%o', (result, detail) => {
    expect(parseResetAnswer(result, BUS)).toMatchObject({ kind: 'refused', detail });
  });
});

const REAL: readonly (readonly [string, string, ResetRefusal | 'done'])[] = [
  ['reset-inuse-hopperpath-535.274.02.txt', BUS, 'in-use'], ['reset-inuse-legacypath-555.58.02.txt', BUS, 'in-use'], ['reset-unavailable-hopperpath-535.274.02.txt', BUS, 'in-use'],
  ['reset-lost-hopperpath-535.274.02.txt', BUS, 'lost'], ['reset-lost-legacypath-555.58.02.txt', BUS, 'unstable'], ['reset-handle-lost-535.274.02.txt', BUS, 'lost'],
  ['reset-noperm-hopperpath-535.274.02.txt', BUS, 'not-permitted'], ['reset-noperm-legacypath-555.58.02.txt', BUS, 'not-permitted'],
  ['reset-notsupported-hopperpath-535.274.02.txt', BUS, 'not-supported'], ['reset-notsupported-legacypath-555.58.02.txt', BUS, 'not-supported'],
  ['reset-unknown-legacypath-555.58.02.txt', BUS, 'unstable'], ['reset-handle-resetrequired-535.274.02.txt', BUS, 'driver-stuck'], ['reset-ok-hopperpath-535.274.02.txt', BUS, 'done'],
];

describe.skipIf(!hasCaptures)('an answer of the real program', () => {
  it.each(REAL)('%s', (file, bus, expected) => {
    const { stdout, exitCode } = captureAnswer(file);
    expect(meaning(ran(stdout, exitCode), bus)).toBe(expected);
  });
});

describe('an answer as somebody saw it in the field', () => {
  it.each<[string, string, ResetRefusal]>([
    ['monitoring held it', 'The following GPUs could not be reset:\n  GPU 00000000:CC:00.0: In use by another client\n', 'in-use'],
    ['NVLink joined it to another in a virtual machine', 'The following GPUs could not be reset:\n  GPU 00000000:CC:00.0: Not Supported\n  GPU 00000000:8C:00.0: Not Supported\n', 'nvlink'],
    ['it drove the display', "GPU Reset couldn't run because GPU 00000000:CC:00.0 is the primary GPU.\n", 'primary'],
  ])('%s', (_, text, expected) => {
    expect(meaning(ran(text), '00000000:cc:00.0')).toBe(expected);
  });
});
