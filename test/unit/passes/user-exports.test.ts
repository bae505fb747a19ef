import { expect, it } from 'vitest';
import { exampleContainer, exampleWorld, live, MINUTE } from '../../property/limits-world.ts';

interface Read {
  readonly containers: readonly { readonly state: string; readonly prospects: readonly { readonly what: string; readonly due_at: string | null; readonly spent_ms: number | null }[] }[];
}

interface Shared {
  readonly devices: readonly { readonly index: number; readonly held_by: number; readonly free: boolean }[];
}

it('an owner reads of a container as the acts of that very pass left it: stopped, with what comes then, and not at all once it is removed', async () => {
  const read: { readonly at: number; readonly job: string; readonly why: Read | undefined; readonly everybody: Shared | null }[] = [];
  const { deeds } = await live({ ...exampleWorld, days: 4 / 24, containers: [exampleContainer] }, ({ why, ...pass }) => { read.push({ ...pass, why: why as Read | undefined, everybody: pass.everybody as Shared | null }); });
  const [stop, removal] = ['stop', 'remove'].map((what) => deeds.find((deed) => deed.what === what));
  const of = (deed: typeof stop): (typeof read)[number] | undefined => read.find(({ at }) => at === deed?.at);
  expect(of(stop)).toMatchObject({ job: 'check-idle', why: { containers: [{ state: 'exited', prospects: [{ what: 'gpu-release', spent_ms: 0 }, { what: 'removal', spent_ms: 0 }] }] } });
  const [release] = of(stop)?.why?.containers[0]?.prospects ?? [];
  expect(Date.parse(release?.due_at ?? '') % (60 * MINUTE)).toBe(35 * MINUTE);
  // The next pass sees it with its own eyes, and says the same.
  const next = read[read.findIndex(({ at }) => at === stop?.at) + 1];
  expect(next?.why?.containers[0]?.prospects.map(({ what, due_at: at }) => [what, at])).toEqual(of(stop)?.why?.containers[0]?.prospects.map(({ what, due_at: at }) => [what, at]));
  expect(of(removal)).toMatchObject({ job: 'cleanup-containers', why: undefined });
  // The GPU that it claims: held while the container is there, also stopped, and free in the very pass that removed it.
  const held = (deed: typeof stop): readonly [number, boolean] | undefined => of(deed)?.everybody?.devices.filter(({ index }) => index === 1).map(({ held_by: by, free }) => [by, free] as const)[0];
  expect([held(stop), held(removal)]).toEqual([[1, false], [0, true]]);
});
