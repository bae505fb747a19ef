import fc from 'fast-check';
import { XMLValidator } from 'fast-xml-parser';
import { describe, expect, it } from 'vitest';
import { brokenTags } from '../../../../src/observe/nvidia-smi/well-formed.ts';

describe('the tags of a document', () => {
  it.each(['<a/>', '<a></a>', '<a><b>1</b><b>2 > 1</b><c/></a>', ' \n<a>\n <b x="1" y="N/A">t</b >\n</a>\n'])('are in order: %j', (text) => {
    expect(brokenTags(text)).toBeNull();
  });

  it.each([
    ['', 'there is no element'],
    ['text', 'there is no element'],
    ['<a>', '<a> is not closed'],
    ['<a><b></a></b>', '</a> closes nothing that is open there'],
    ['</a>', '</a> closes nothing that is open there'],
    ['<a></a/>', '</a> closes nothing that is open there'],
    ['<a><b</a>', 'there is no whole tag at "<b</a>"'],
    ['<a x=1></a>', 'there is no whole tag at "<a x=1></a>"'],
    ['<a>1 < 2</a>', 'there is no whole tag at "< 2</a>"'],
    ['<a x="<b>"></a>', 'there is no whole tag at "<a x=\\"<b>\\"></a>"'],
    ['<a/><b/>', '<b> stands after the end of the root'],
    ['x<a/>', 'there is text outside of the root'],
    ['<a/>x', 'there is text outside of the root'],
    ['<a/>x<b/>', 'there is text outside of the root'],
    ['<a><!-- --></a>', 'there is no whole tag at "<!-- --></a>"'],
  ])('are not: %j', (text, problem) => {
    expect(brokenTags(text)).toBe(problem);
  });

  it('are never in order where a validator of XML finds a fault', () => {
    const part = fc.constantFrom('<a>', '</a>', '<b>', '</b>', '<c/>', '<a x="1">', ' y="2"', '<', '>', '/', '"', '=', 'text', ' ', '\n', '<a', 'a>', '</', '<A>', '</A>', '<1>', '<a-b.c>', '</a-b.c>', 'é', '<é>');
    let good = 0;
    fc.assert(fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
      const text = parts.join('');
      if (brokenTags(text) !== null) return;
      good += 1;
      expect(XMLValidator.validate(text)).toBe(true);
    }), { numRuns: 20_000 });
    expect(good).toBeGreaterThan(100);
  });
});
