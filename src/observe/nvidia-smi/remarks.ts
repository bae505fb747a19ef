import { normalizeBusId } from '../../model/device.ts';
import type { Gap } from '../../model/observation.ts';
import { quote } from './text.ts';

/** A line that nvidia-smi prints besides what it was asked for. */
export interface Remark {
  /** The GPU that it speaks of; null: none is named. */
  readonly busId: string | null;
  readonly text: string;
  /** True: the GPU works all the same, and so does what nvidia-smi says of it. */
  readonly harmless: boolean;
}

/** Printed before or after an otherwise complete answer; the infoROM holds the board's own records, not its work. */
const INFOROM = /^WARNING: infoROM is corrupted at gpu [0-9a-f:.]+$/i;

/** The first PCI bus id in a line, also where it is glued to "GPU" (`GPU0000:11:00.0`). Null: none. */
export function busIdIn(line: string): string | null {
  const found = /[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]/i.exec(line);
  return found === null ? null : normalizeBusId(found[0]);
}

export function isHarmless(line: string): boolean {
  return INFOROM.test(line.trim());
}

/** One remark for each line that names a GPU, with the lines that go on from it, and one for what comes before the first. */
export function parseRemarks(lines: readonly string[]): readonly Remark[] {
  const remarks: Remark[] = [];
  for (const line of lines.filter((text) => text.trim() !== '')) {
    const busId = busIdIn(line);
    const last = remarks.at(-1);
    if (busId !== null || last === undefined || last.harmless) remarks.push({ busId, text: quote(line), harmless: isHarmless(line) });
    else remarks[remarks.length - 1] = { ...last, text: quote(`${last.text} ${line}`) };
  }
  return remarks;
}

/** What the answer lacks by its own account. */
export function gapsOf(remarks: readonly Remark[]): readonly Gap[] {
  return remarks.filter(({ harmless }) => !harmless).map(({ busId, text }) => ({ subject: busId ?? 'gpu', why: text }));
}
