import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const page = new URL('../../docs/security.md', import.meta.url);
const [, attempts = ''] = /^\| attempt \|.*\n.*\n((?:\|.*\n)+)/m.exec(readFileSync(page, 'utf8')) ?? [];
const rows = attempts.trim().split('\n').map((row) => ({ row, shown: [...row.matchAll(/\]\((\.\.\/test\/[^)]+)\) “([^”]+)”/g)].map(([, file = '', sentence = '']) => ({ file, sentence })) }));

describe('the page about security', () => {
  it('has a test for every attempt that it says fails', () => {
    expect(rows.length).toBeGreaterThan(20);
    expect(rows.filter(({ shown }) => shown.length === 0).map(({ row }) => row)).toEqual([]);
  });

  it.each(rows.flatMap(({ shown }) => shown))('quotes $file as it is: $sentence', ({ file, sentence }) => {
    expect(readFileSync(new URL(file, page), 'utf8')).toContain(sentence);
  });
});
