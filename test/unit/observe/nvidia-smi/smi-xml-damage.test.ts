import { describe, expect, it } from 'vitest';
import { parseSmiXml } from '../../../../src/observe/nvidia-smi/smi-xml.ts';
import { capture, captureNames, DRIVERS, fixture, haveCaptures } from './captures.ts';

/** The verdict on the first `bytes` bytes of a text, decoded as runChild decodes it. */
function verdictOnFirst(bytes: number, text: Buffer): string {
  const document = parseSmiXml(text.subarray(0, bytes).toString('utf8'), 0);
  return document.state === 'failed' ? document.code : document.state;
}

/** Offsets at which a document cut there is not refused. */
function acceptedCuts(text: Buffer, step: number): readonly number[] {
  const end = text.lastIndexOf('>') + 1;
  const accepted: number[] = [];
  for (let bytes = 0; bytes < end; bytes += step) if (verdictOnFirst(bytes, text) !== 'malformed') accepted.push(bytes);
  return accepted;
}

describe('a document that is cut off', () => {
  it.each(DRIVERS)('is refused at every byte (driver %s)', (driver) => {
    expect(acceptedCuts(Buffer.from(fixture(driver, 'qx.xml')), 1)).toEqual([]);
  });

  it('is complete without the line breaks after it', () => {
    const text = fixture('535', 'qx.xml');
    expect(parseSmiXml(text.trimEnd(), 0)).toEqual(parseSmiXml(text, 0));
    expect(parseSmiXml(`${text}\r\n \t\n`, 0)).toEqual(parseSmiXml(text, 0));
  });

  it.skipIf(!haveCaptures).each(captureNames('xml'))('is refused at every byte, and at a hundred offsets where it is long (%s)', (name) => {
    const text = Buffer.from(capture(`xml/${name}`));
    expect(acceptedCuts(text, text.length < 30_000 ? 1 : Math.floor(text.length / 997))).toEqual([]);
  });

  it('is refused with a piece missing from its middle', () => {
    const text = fixture('470', 'qx.xml');
    const from = text.indexOf('<process_info>');
    const wrong: number[] = [];
    for (let to = from + 1; to < text.indexOf('</nvidia_smi_log>'); to += 7) {
      const document = parseSmiXml(text.slice(0, from) + text.slice(to), 0);
      // Well-formed again by chance: then the list must not have lost its row without a word.
      if (document.state === 'complete' && document.value.gpus[0]?.processes.state === 'known' && document.value.gpus[0].processes.processes.length === 0) wrong.push(to);
    }
    // The one piece that is exactly the row: no reader of the XML alone can know. The compute list does.
    expect(wrong.every((to) => text.slice(from, to).includes('</process_info>'))).toBe(true);
  });
});

describe('a document with something around it', () => {
  const text = fixture('535', 'qx.xml');

  it.each([
    ['a line of text', 'Segmentation fault\n'],
    ['another document', text],
    ['a comment', '<!-- ok -->'],
    ['another element', '<gpu/>'],
    ['a NUL', '\0'],
    ['half a known remark', 'WARNING: infoROM is corrupted at gp'],
  ])('is refused with %s after it', (_, tail) => {
    expect(parseSmiXml(text + tail, 0)).toMatchObject({ state: 'failed', code: 'malformed' });
  });

  it.each([
    ['a DOCTYPE with entities', (xml: string) => xml.replace(/<!DOCTYPE[^>]*>/, '<!DOCTYPE nvidia_smi_log [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>')],
    ['a second DOCTYPE', (xml: string) => xml.replace('<timestamp>', '<!DOCTYPE x><timestamp>')],
    ['a CDATA section', (xml: string) => xml.replace('<processes>', '<processes><![CDATA[ ]]>')],
    ['a comment', (xml: string) => xml.replace('<processes>', '<processes><!-- -->')],
    ['a processing instruction', (xml: string) => xml.replace('<processes>', '<processes><?php ?>')],
    ['another root', (xml: string) => xml.replaceAll('nvidia_smi_log>', 'nvidia_log>')],
    ['tags that do not match', (xml: string) => xml.replace('</fb_memory_usage>', '</fb_memory_use>')],
    ['an element that JavaScript would mind', (xml: string) => xml.replace('<timestamp>', '<__proto__>1</__proto__><timestamp>')],
  ])('is refused with %s in it', (_, damage) => {
    const damaged = damage(text);
    expect(damaged).not.toBe(text);
    expect(parseSmiXml(damaged, 0)).toMatchObject({ state: 'failed', code: 'malformed' });
  });

  it('is refused where nvidia-smi did not exit with 0, however good it looks', () => {
    expect(parseSmiXml(text, 15)).toMatchObject({ state: 'failed', code: 'device-fault' });
    expect(parseSmiXml(text, 255)).toMatchObject({ state: 'failed', code: 'error' });
  });

  it('is worth nothing without any text', () => {
    expect(parseSmiXml('', 0)).toEqual({ state: 'failed', code: 'malformed', why: 'nvidia-smi printed nothing (exit 0)' });
    expect(parseSmiXml('{}', 0)).toMatchObject({ state: 'failed', code: 'malformed' });
  });
});

describe('a line before the document', () => {
  const text = fixture('590', 'qx.xml');

  it('is a gap for a GPU that is not described', () => {
    const document = parseSmiXml(`Unable to determine the device handle for GPU3: 0000:04:00.0: Unknown Error\n${text}`, 0);
    expect(document).toMatchObject({ state: 'partial', missing: [{ subject: '00000000:04:00.0', why: expect.stringContaining('Unknown Error') }] });
    expect(document.state !== 'failed' && document.value.gpus).toHaveLength(3);
  });

  it('accounts for the GPU that is attached and not described', () => {
    const short = text.replace('<attached_gpus>3<', '<attached_gpus>4<');
    const prefix = 'Unable to determine the device handle for GPU0000:04:00.0: GPU is lost.  Reboot the system\nto recover this GPU\n';
    expect(parseSmiXml(prefix + short, 0)).toMatchObject({ missing: [{ subject: '00000000:04:00.0', why: 'Unable to determine the device handle for GPU0000:04:00.0: GPU is lost. Reboot the system to recover this GPU' }] });
    expect(parseSmiXml(short, 0)).toMatchObject({ missing: [{ subject: 'gpu', why: '4 GPUs are attached and 3 described' }] });
  });

  it('is a fault of a GPU that is described all the same, and its processes are not known', () => {
    const document = parseSmiXml(`Unable to determine the device handle for GPU 0019:01:00.0: Unknown Error\n${text}`, 0);
    if (document.state === 'failed') throw new Error(document.why);
    const [other, gpu] = document.value.gpus;
    expect(gpu).toMatchObject({ faults: [expect.stringContaining('Unknown Error')], processes: { state: 'unknown' } });
    expect(other).toMatchObject({ faults: [], processes: { state: 'known' } });
  });

  it('is a gap of its own where it names no GPU', () => {
    expect(parseSmiXml(`something is wrong\n${text}`, 0)).toMatchObject({ state: 'partial', missing: [{ subject: 'gpu', why: 'something is wrong' }] });
  });

  it('or after it about a corrupted infoROM is a fault that leaves the rest as it is', () => {
    const line = 'WARNING: infoROM is corrupted at gpu 0019:01:00.0\n';
    for (const document of [parseSmiXml(line + text, 0), parseSmiXml(text + line, 0)]) {
      if (document.state !== 'complete') throw new Error(document.state);
      expect(document.value.gpus[1]).toMatchObject({ faults: [line.trim()], processes: { state: 'known' } });
    }
  });
});
