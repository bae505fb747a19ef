import { describe, expect, it } from 'vitest';
import { renderConfigShow, showConfig } from '../../../src/config/show.ts';
import { loadFiles, loadText } from './helpers.ts';

describe('config show', () => {
  it('tells every value as a file would write it, and the file and line or default', async () => {
    const loaded = await loadText('reset: { policy: never }\nbreaker:\n  stops: [3, 5%]\n');
    const { values } = showConfig(loaded);
    const of = (key: string) => values.find((each) => each.key === key);
    expect(of('reset.policy')).toEqual({ key: 'reset.policy', value: 'never', from: 'file', origin: expect.objectContaining({ line: 2 }), withheld: null });
    expect(of('breaker.stops')).toMatchObject({ value: [3, '5%'], origin: { line: 4 } });
    expect(of('reset.cooldown')).toEqual({ key: 'reset.cooldown', value: '6h', from: 'default', origin: null, withheld: null });
    expect(of('limits.types.api.idle_timeout')).toMatchObject({ value: 'never', from: 'default' });
  });

  it('is a table that ends each line with where the value comes from', async () => {
    const text = renderConfigShow(showConfig(await loadText('reset: { policy: never }\n')));
    expect(text).toMatch(/^reset\.policy +never +\/.*config\.yaml:2$/m);
    expect(text).toMatch(/^reset\.cooldown +6h +default$/m);
    expect(text).toMatch(/^schedule\.sample +"2-59\/5 \* \* \* \*" +default$/m);
  });

  it('says so when there is no file', async () => {
    expect(renderConfigShow(showConfig(await loadFiles({})))).toMatch(/^no file: built-in defaults\n/);
  });

  it('for one owner, tells the limits with their level, and what was not granted', async () => {
    const loaded = await loadText('limits:\n  users:\n    bob: { idle_timeout: 2h, max_runtime: 90m, gpu_hold_after_stop: 0 }\n');
    const shown = showConfig(loaded, { owner: 'bob', type: null, unixGroups: [] });
    expect(shown.values).toHaveLength(7);
    expect(shown.values[1]).toEqual({ key: 'max_runtime', value: '90m', from: 'user bob', origin: expect.objectContaining({ line: 4 }), withheld: null });
    const text = renderConfigShow(shown);
    expect(text).toMatch(/^owner bob, type unknown$/m);
    expect(text).toMatch(/^idle_timeout +30m +default; user bob is looser, but not trusted$/m);
    expect(text).toMatch(/^max_runtime +90m +user bob \(\/.*config\.yaml:4\)$/m);
    expect(text).toMatch(/^gpu_hold_after_stop +0 +user bob/m);
    expect(text).toMatch(/^idle_checks +3 +default$/m);
  });

  it('for one owner, tells from which limits he is exempt, why and until when, and where that is not granted', async () => {
    const shown = async (trust: string): Promise<string> => renderConfigShow(showConfig(await loadText(`limits: { trust_labels: [${trust}] }\nexemptions:\n  - { user: bob, from: [idle_timeout], reason: thesis, until: 2026-12-24 }\n  - { user: bob, from: [max_runtime], reason: old, until: 2026-01-01 }\n`), { owner: 'bob', type: null, unixGroups: [] }, Date.UTC(2026, 10, 22)));
    expect(await shown('owner')).toMatch(/^idle_timeout +30m +default; exempt until 2026-12-24: thesis$/m);
    expect(await shown('')).toMatch(/^idle_timeout +30m +default; exempt until 2026-12-24: thesis \(not trusted\)$/m);
    expect(await shown('owner')).toMatch(/^max_runtime +24h +default$/m);
  });

  it('is plain JSON', async () => {
    const shown = showConfig(await loadText('idle: { gpu_percent: 7 }\n'));
    expect(JSON.parse(JSON.stringify(shown))).toEqual(shown);
  });
});
