import { describe, expect, it } from 'vitest';
import type { Gpu } from '../../../../src/model/device.ts';
import { parseSmiXml } from '../../../../src/observe/nvidia-smi/smi-xml.ts';
import { UNREAD } from '../../../../src/observe/nvidia-smi/xml.ts';
import { capture, captureNames, DRIVERS, fixture } from './captures.ts';

/** Our own documents have none of these groups. */
function withAll(text: string): string {
  const groups = UNREAD.map((name) => `<${name}>\n\t<first>12 MHz</first>\n\t<second>N/A</second>\n</${name}>\n`);
  return text.replaceAll('</product_name>', `</product_name>\n${groups.join('')}`);
}

const DOCUMENTS: readonly (readonly [string, string])[] = [
  ...DRIVERS.map((driver) => [`the fixture of driver ${driver} with all of them`, withAll(fixture(driver, 'qx.xml'))] as const),
  ...captureNames('xml').map((name) => [name, capture(`xml/${name}`)] as const),
];
const OPEN = new RegExp(`<(?:${UNREAD.join('|')})>`, 'g');

function gpusIn(text: string): readonly Gpu[] {
  const document = parseSmiXml(text, 0);
  return document.state === 'failed' ? [] : document.value.gpus;
}

describe('groups that nothing is read from', () => {
  it.each(DOCUMENTS)('%s is read the same whether or not they were cut out of it', (_, text) => {
    // A word among the measurements keeps a group from being cut.
    const uncut = text.replace(OPEN, '$&<other>word</other>');
    expect(parseSmiXml(uncut, 0)).toEqual(parseSmiXml(text, 0));
  });

  it.each(DRIVERS)('make no difference to a document of driver %s', (driver) => {
    const text = fixture(driver, 'qx.xml');
    expect(withAll(text)).not.toBe(text);
    expect(parseSmiXml(withAll(text), 0)).toEqual(parseSmiXml(text, 0));
  });

  it.each(UNREAD)('tell of a fault of the board: <%s>', (name) => {
    const text = fixture('590', 'qx.xml').replace('</product_name>', `</product_name><${name}><first>12 MHz</first><second>GPU is lost</second></${name}>`);
    expect(gpusIn(text)[0]).toMatchObject({ faults: ['GPU is lost'], processes: { state: 'unknown' } });
  });

  it.each([
    ['an element is not closed', '<clocks><first>12 MHz</clocks>'],
    ['an element is closed by another', '<clocks><first>12 MHz</second></clocks>'],
    ['the group is closed by another', '<clocks><first>12 MHz</first></voltage>'],
    ['the group is not closed', '<clocks><first>12 MHz</first>'],
    ['the group is opened twice', '<clocks><clocks><first>12 MHz</first></clocks>'],
  ])('are not cut, and the document is refused, where %s', (_, group) => {
    const text = fixture('590', 'qx.xml').replace('</product_name>', `</product_name>${group}`);
    expect(parseSmiXml(text, 0)).toMatchObject({ state: 'failed', code: 'malformed' });
  });

  it('take no process with them, whatever processes call themselves', () => {
    const names = ['<clocks><a>1</a>', '</clocks>', '<clocks>', '<a>1</a></clocks>'];
    const plain = fixture('590', 'qx.xml');
    let n = 0;
    const hostile = plain.replace(/(<process_name>)[^<]*/g, (_, tag: string) => tag + (names[n++ % names.length] ?? '').replaceAll('<', '&lt;').replaceAll('>', '&gt;'));
    const pids = (text: string): unknown => gpusIn(text).map(({ processes }) => (processes.state === 'known' ? processes.processes.map(({ pid }) => pid) : processes));
    expect(n).toBeGreaterThan(1);
    expect(pids(hostile)).toEqual(pids(plain));
  });
});
