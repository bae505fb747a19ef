/**
 * What NVIDIA's Xid catalogue calls for, by code. `reset`: the GPU; `reboot`: the node (for 151, the virtual machine);
 * `follow`: another message decides; `restart`: the application; `none`: nothing; `check`: cables; `update`: software.
 */
export type XidAction = 'reset' | 'reboot' | 'follow' | 'restart' | 'none' | 'check' | 'update';

export interface XidEntry {
  readonly action: XidAction;
  /** In gpuctl's words. */
  readonly meaning: string;
}

/** Where the actions come from. */
export const XID_SOURCE = { document: 'NVIDIA Xid catalogue', date: '2025-10-29' } as const;

const ENGINE = 'an engine of the GPU (copy, video, image) met an error in the work it was given';

/** Source: NVIDIA's Xid catalogue, edition of 2025-10-29, column "immediate action". A code that is not here is not classified there. */
const ROWS: readonly (readonly [XidAction, meaning: string, ...codes: readonly number[]])[] = [
  ['reset', 'the GPU stopped processing', 46],
  ['reset', 'an internal controller of the GPU halted', 62],
  ['reset', 'a failing memory page or row could not be recorded', 64],
  ['reset', 'a memory error could not be contained: all work on the GPU is in doubt', 95],
  ['reset', 'a switch between contexts timed out', 109],
  ['reset', 'the GPU refused work for security reasons', 110],
  ['reset', 'the GPU\'s system processor (GSP) did not answer in time', 119],
  ['reset', 'the GPU\'s system processor (GSP) failed', 120],
  ['reset', 'an NVLink could not be trained', 136],
  ['reset', 'an uncorrectable memory error', 140],
  ['reset', 'the GPU could not be initialised', 143],
  ['reset', 'an NVLink was taken down by software', 155],
  ['reset', 'a failing part of the GPU is to be retired', 156],
  ['reset', 'a fatal time-out inside the GPU', 158],
  ['reboot', 'the GPU has fallen off the bus', 79],
  ['reboot', 'a key of confidential computing could not be rotated', 151],
  ['follow', 'work was cleaned away after an earlier error', 45],
  ['follow', 'an uncorrectable (double-bit) memory error', 48],
  ['follow', 'an NVLink error', 74, 144, 145, 146, 147, 148, 149, 150],
  ['follow', 'the recovery action that the driver asks for has changed', 154],
  ['follow', 'an error on the link between GPU and processor', 159],
  ['restart', 'the GPU stopped processing a channel', 8],
  ['restart', 'a command stream was invalid or corrupted', 11, 25, 32],
  ['restart', 'the program made the GPU raise an exception', 13],
  ['restart', 'the program touched memory of the GPU that is not its own', 31],
  ['restart', ENGINE, 39, 40, 41, 60, 68, 70, 71, 72, 75, 76, 77, 82, 83, 84, 85, 86, 88, 89, 96, 97, 98, 99, 100, 101, 102, 103, 104, 105],
  ['restart', 'the program used a class of the graphics engine wrongly', 69],
  ['restart', 'corrupted data was sent to the GPU', 80],
  ['restart', 'a memory error was contained: only the program that met it is hit', 94],
  ['restart', 'an error in the work of one program', 126, 127, 128, 129, 130, 131, 132, 133, 134, 135, 139],
  ['none', 'a message for information', 14, 37, 38, 66, 67, 106, 107, 108, 121, 137, 141, 152, 153, 157, 160, 161],
  ['none', 'a program\'s work was ended, by itself or by an earlier error', 43, 44],
  ['none', 'a failing memory page or row was recorded for retirement', 63],
  ['none', 'many corrected memory errors', 92],
  ['none', 'a limit of wear in the board\'s own memory was passed', 93],
  ['check', 'the board lacks its power cable', 54],
  ['update', 'a virtual GPU could not be started', 78],
];

let byCode: ReadonlyMap<number, XidEntry> | null = null;

/** What the catalogue says of a code; null: it does not classify it. */
export function xidEntry(code: number): XidEntry | null {
  byCode ??= new Map(ROWS.flatMap(([action, meaning, ...codes]) => codes.map((each) => [each, { action, meaning }] as const)));
  return byCode.get(code) ?? null;
}

/** Every code that the catalogue classifies, in order. */
export function xidCodes(): readonly number[] {
  return ROWS.flatMap(([, , ...codes]) => codes).toSorted((a, b) => a - b);
}
