import { expect, it } from 'vitest';
import { defaultConfig } from '../../../src/config/defaults.ts';
import { limitPolicyOf } from '../../../src/cli/limits.ts';
import type { Assessment } from '../../../src/decide/assess.ts';
import { complete } from '../../../src/model/observation.ts';
import type { Pass } from '../../../src/passes/pass.ts';
import { takeKeepRequests } from '../../../src/passes/user-side.ts';
import { container } from '../config/helpers.ts';
import { HOUR, NOW, testLedger } from '../record/ledger/hosts.ts';

const UID = 1000;
const users = { nameOf: () => null, uidOf: () => UID, groupsOf: () => [] };

it('a wish that is granted ends what was refused before, and hides nothing that is refused in the same pass, in whatever order', () => {
  const { ledger } = testLedger();
  const train = container({ name: 'train', state: 'running', startedAt: NOW - HOUR });
  const take = (...names: readonly string[]): readonly string[] => {
    const requests = names.map((name) => ({ uid: UID, container: name, forMs: HOUR }));
    const parts = {
      users: { ...users, exports: {}, requests: { take: () => ({ requests, refused: names.includes('nothing') ? [{ uid: UID, why: 'it is not JSON' }] : [] }) } },
      clock: { now: () => NOW }, sink: { emit: () => {} }, ownerOf: () => 'alice', limits: { ledger: ledger.limits, nextRun: async () => null },
      policy: { limits: limitPolicyOf({ config: defaultConfig(), configured: { limits: true, leftovers: true } }, users) },
    };
    takeKeepRequests({ parts } as unknown as Pass, { snapshot: { engine: complete({ containers: [train] }) } } as unknown as Assessment);
    return (ledger.limits.keepRefusals?.() ?? []).map(({ why }) => why.split(' ').at(-1) ?? '');
  };
  expect(take('older')).toEqual(['older']);
  expect(take('nothing', 'train')).toEqual(['JSON', 'nothing']);
  expect(take('train', 'nothing')).toEqual(['JSON', 'nothing']);
  expect(take('train')).toEqual([]);
});
