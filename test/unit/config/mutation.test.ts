import { asyncProperty, assert, array, constantFrom, integer, oneof, record, string } from 'fast-check';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/load.ts';
import { ConfigError } from '../../../src/config/mistake.ts';
import { renderDefaultConfig } from '../../../src/config/template.ts';
import { folderWith } from './helpers.ts';

const whole = renderDefaultConfig().replaceAll(/^(\s*)#(?=\S)/gm, '$1').replaceAll(/^\s*#.*\n/gm, '')
  .replace('exemptions: []', 'exemptions: [{ user: carol, from: [idle_timeout], reason: x, until: 2026-12-24 }]')
  .replace('groups: {}', 'groups: { r: { members: [alice], max_runtime: 48h } }');

const piece = oneof(
  constantFrom('\n', ' ', '\t', ':', ': ', '- ', '{', '}', '[', ']', ',', '#', '&a ', '*a', '!', '!!str ', '|', '>', '"', "'", '%', '---\n', '<<: ', '~', 'never', '0', '-1', '1e999', '.nan', '\u0000', '\u2028', '\uFEFF', '__proto__: ', '? '),
  string({ maxLength: 5, unit: 'binary' }),
);
const edit = record({ at: integer({ min: 0, max: whole.length }), cut: integer({ min: 0, max: 40 }), piece });

it('a file changed in any way loads, or is refused with mistakes that have a place; nothing else happens', async () => {
  const folder = folderWith({});
  const file = join(folder, 'config.yaml');
  await assert(asyncProperty(array(edit, { minLength: 1, maxLength: 4 }), async (edits) => {
    writeFileSync(file, edits.reduce((text, { at, cut, piece: put }) => text.slice(0, at) + put + text.slice(at + cut), whole), { mode: 0o644 });
    const thrown: unknown = await loadConfig({ file }).then(() => null, (error: unknown) => error);
    if (thrown === null) return;
    expect(thrown).toBeInstanceOf(ConfigError);
    const { mistakes } = thrown as ConfigError;
    expect(mistakes.length).toBeGreaterThan(0);
    for (const mistake of mistakes) expect(mistake).toMatchObject({ file, line: expect.any(Number), column: expect.any(Number), message: expect.stringMatching(/./) });
  }), { numRuns: 300 });
}, 60_000);
