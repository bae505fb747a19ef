import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { renderDocs } from '../../../tools/generate-docs.ts';
import { EVENTS } from '../../../src/model/event.ts';
import { REASONS } from '../../../src/model/reason.ts';

const docs = Object.entries(renderDocs());

describe('the generated documents', () => {
  it.each(docs)('%s is committed as the source makes it (else run: node tools/generate-docs.ts)', (path, text) => {
    expect(readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')).toBe(text);
  });

  it('name every action and every reason', () => {
    const reference = renderDocs()['docs/events.md'] ?? '';
    for (const name of [...Object.keys(EVENTS), ...Object.keys(REASONS)]) expect(reference).toContain(`| \`${name}\` |`);
  });
});
