import type { ActivitySample, IdleClock } from '../model/activity.ts';
import type { Assessment } from '../decide/assess.ts';
import { decideDeviceUse, decideSample, followedIn, type SampleFacts } from '../decide/activity.ts';
import { type ProcessUses, sharesDevice, usesUntold } from '../decide/device-sharing.ts';
import { foldSample, type RunSample } from '../decide/idle-clock.ts';
import { claimingIds } from '../decide/managed.ts';
import type { InspectedContainer } from '../model/container.ts';
import type { Pass } from './pass.ts';
import type { LimitsParts } from './ports.ts';

/** What this pass saw the containers do, by container id: the samples, and the clocks with those samples in them. */
export interface Activity {
  readonly samples: ReadonlyMap<string, ActivitySample>;
  readonly clocks: ReadonlyMap<string, IdleClock>;
}

/** Every pass that looks at the host samples it, and a pass that records remembers that. Null: this pass has nothing to do with limits. */
export async function sampleActivity({ parts, options }: Pass, assessment: Assessment): Promise<Activity | null> {
  const { limits, policy } = parts;
  const rules = policy.limits;
  if (limits === undefined || rules === undefined) return null;
  const uses = await usesIn(limits.activity, assessment);
  const at = parts.clock.now();
  const claiming = claimingIds(assessment);
  const followed = followedIn(assessment, claiming, (each) => policy.rulesOf(each).infrastructure);
  const samples = await takeSamples(limits.activity, { containers: followed, assessment, uses, at });
  const before = new Map(limits.ledger.idleClocks().map((clock) => [clock.containerId, clock]));
  const clocks = samples.filter(hasRun).map((sample) => foldSample(before.get(sample.containerId) ?? null, sample, rules.thresholds));
  if (options.records) remember({ limits, claiming, samples, clocks, assessment, at });
  return { samples: new Map(samples.map((each) => [each.containerId, each])), clocks: new Map(clocks.map((each) => [each.containerId, each])) };
}

type Sampling = Pick<SampleFacts, 'assessment' | 'uses' | 'at'> & { readonly containers: readonly InspectedContainer[] };

/** Samples of these containers as they are this instant, judged by what the assessment saw of the devices. */
async function takeSamples(activity: LimitsParts['activity'], { containers, assessment, uses, at }: Sampling): Promise<readonly ActivitySample[]> {
  const counters = new Map((await activity.counters(containers)).map((each) => [each.containerId, each]));
  return containers.flatMap((container) => {
    const mine = counters.get(container.id);
    return (mine === undefined ? null : decideSample({ container, counters: mine, assessment, uses, at })) ?? [];
  });
}

/** What the driver said of one look, asked once for all that is decided on it. */
const askedFor = new WeakMap<Assessment, Promise<ProcessUses>>();

function usesIn(activity: LimitsParts['activity'], assessment: Assessment): Promise<ProcessUses> {
  const before = askedFor.get(assessment);
  if (before !== undefined) return before;
  const asked = sharesDevice(assessment) ? (activity.processUse?.() ?? Promise.resolve(usesUntold)) : Promise.resolve(null);
  askedFor.set(assessment, asked);
  return asked;
}

function hasRun(sample: ActivitySample): sample is RunSample {
  return sample.startedAt !== null;
}

interface Seen {
  readonly limits: LimitsParts;
  readonly claiming: ReadonlySet<string>;
  readonly samples: readonly ActivitySample[];
  readonly clocks: readonly IdleClock[];
  readonly assessment: Assessment;
  readonly at: number;
}

function remember({ limits: { ledger }, claiming, samples, clocks, assessment, at }: Seen): void {
  const once = ledger.onceManaged();
  const fresh = [...claiming].filter((id) => !once.has(id));
  if (fresh.length > 0) ledger.recordManaged(fresh);
  // Before the clocks forget that there was activity: warnings that were given before it count for nothing.
  const armed = new Set(ledger.warnings().filter((warning) => warning.kind === 'idle' && warning.stage !== 'notice').map((warning) => warning.containerId));
  for (const clock of clocks) if (clock.idleMs === 0 && armed.has(clock.containerId)) ledger.clearWarnings(clock.containerId, 'idle');
  if (samples.length > 0 || ledger.idleClocks().length > 0) ledger.recordActivity(samples, clocks);
  const uses = decideDeviceUse(assessment, at);
  if (uses.length > 0) ledger.recordDeviceUse(uses);
}

/** The clock of one container after one more sample of it, for the last look before a stop. Null: it cannot be sampled any more. */
export async function sampleAgain({ parts }: Pass, container: InspectedContainer, { assessment, activity }: { readonly assessment: Assessment; readonly activity: Activity }): Promise<{ readonly sample: ActivitySample; readonly clock: IdleClock | null } | null> {
  const { limits, policy } = parts;
  if (limits === undefined || policy.limits === undefined) return null;
  const uses = await usesIn(limits.activity, assessment);
  const [sample] = await takeSamples(limits.activity, { containers: [container], assessment, uses, at: parts.clock.now() });
  if (sample === undefined) return null;
  return { sample, clock: hasRun(sample) ? foldSample(activity.clocks.get(container.id) ?? null, sample, policy.limits.thresholds) : null };
}
