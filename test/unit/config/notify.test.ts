import { expect, it } from 'vitest';
import { chmodSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { showConfig } from '../../../src/config/show.ts';
import { whyUntrustedProgram } from '../../../src/config/trusted-file.ts';
import { folderWith, loadText } from './helpers.ts';

it('takes every kind of sink, with what is not written filled in', async () => {
  const { config, warnings } = await loadText('notify:\n  admin:\n    - webhook: https://example.org/a?b=c\n    - { webhook: "http://127.0.0.1:9/x", format: slack }\n    - mail: gpu-admin@example.org\n    - exec: /usr/local/bin/alert\n');
  expect(config.notify.admin).toEqual([
    { kind: 'webhook', url: 'https://example.org/a?b=c', format: 'generic' },
    { kind: 'webhook', url: 'http://127.0.0.1:9/x', format: 'slack' },
    { kind: 'mail', to: 'gpu-admin@example.org', program: '/usr/sbin/sendmail' },
    { kind: 'exec', program: '/usr/local/bin/alert' },
  ]);
  expect(warnings).toEqual([]);
});

it('warns of alerts that would cross a network unencrypted, with file and line', async () => {
  const { config, warnings } = await loadText('notify:\n  admin:\n    - { mail: a@example.org }\n    - { webhook: "http://example.org/x" }\n');
  expect(config.notify.admin).toHaveLength(2);
  expect(warnings).toMatchObject([{ line: expect.any(Number), key: 'notify.admin[1].webhook', message: expect.stringContaining('unencrypted') }]);
});

it('is shown as written', async () => {
  const { values } = showConfig(await loadText('notify:\n  admin: [{ exec: /bin/true }]\n'));
  expect(values.find(({ key }) => key === 'notify.admin')).toMatchObject({ value: [{ exec: '/bin/true' }], from: 'file' });
});

it('a program is trusted only where root alone can have written it, and it can be run', () => {
  const folder = folderWith({ good: '#!/bin/sh\n', open: '#!/bin/sh\n', plain: 'x' });
  for (const name of ['good', 'open']) chmodSync(join(folder, name), 0o755);
  chmodSync(join(folder, 'open'), 0o777);
  symlinkSync(join(folder, 'good'), join(folder, 'link'));
  symlinkSync(join(folder, 'open'), join(folder, 'bad-link'));
  const why = (name: string): string | null => whyUntrustedProgram(join(folder, name));
  expect([why('good'), why('link')]).toEqual([null, null]);
  expect(why('open')).toContain('others than root may write');
  expect(why('bad-link')).toContain('others than root may write');
  expect(why('plain')).toContain('may not be executed');
  expect(why('none')).toBe('does not exist');
  expect(why('.')).toContain('not a regular file');
});
