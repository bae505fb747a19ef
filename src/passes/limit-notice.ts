import type { LimitKind, WarningStage } from '../model/activity.ts';
import type { ContainerTarget, Decision } from '../model/decision.ts';
import { isoTime } from '../model/time.ts';
import type { Pass } from './pass.ts';
import type { ActResult, OwnerNotice } from './ports.ts';

/** Why an exemption that is written for an owner does not count for a container that only claims to be his. */
export const NOT_TRUSTED = 'the owner is only what the container says of itself, and limits.trust_labels does not list owner';

type Stage = WarningStage | 'stopped';

/** The stage that a decision to warn gives. */
export function stageOf({ reason }: Decision): WarningStage {
  if (reason === 'exempt') return 'notice';
  return reason === 'idle-final-warning' || reason === 'runtime-final-warning' ? 'final' : 'warned';
}

/** What the owner is told. A warning names the earliest pass that may stop the container. */
export async function noticeOf({ parts }: Pass, decision: Decision<ContainerTarget>, { kind, stage, since }: { readonly kind: LimitKind; readonly stage: Stage; readonly since?: ActResult['since'] }): Promise<OwnerNotice> {
  const { target, evidence } = decision;
  const spentMs = numberIn(evidence[kind === 'idle' ? 'idleMs' : 'runtimeMs']);
  const limitMs = numberIn(evidence['limitMs']);
  const reachedAt = parts.clock.now() + Math.max(0, limitMs - spentMs);
  const stopAt = stage === 'warned' || stage === 'final' ? await parts.limits?.nextRun(kind === 'idle' ? 'check-idle' : 'enforce-runtime', reachedAt) : null;
  const state = kind === 'idle' ? `has been idle for ${duration(spentMs)}` : `has run for ${duration(spentMs)}`;
  const shortened = evidence['highDemand'] === true && (parts.policy.limits?.highDemand.factor ?? 1) < 1;
  const begin = `Your container ${target.containerName} on ${parts.host} ${state}; the limit is ${duration(limitMs)}${shortened ? ', shortened while most devices are taken' : ''}.`;
  return { target, kind, stage, message: `${begin}${untrustedText(evidence, stage)} ${rest({ kind, stage, since, name: target.containerName, stopAt: stopAt ?? null, exemption: exemptionText(evidence) })}` };
}

interface Rest {
  readonly kind: LimitKind;
  readonly stage: Stage;
  readonly since: ActResult['since'];
  readonly name: string;
  readonly stopAt: number | null;
  readonly exemption: string;
}

function rest({ kind, stage, since, name, stopAt, exemption }: Rest): string {
  if (stage === 'stopped') return since === 'removed' ? 'It was stopped, and removed by the engine, as it was made to go when it stops (--rm).' : 'It was stopped; what it holds on disk is kept for now.';
  if (stage === 'notice') return `You are exempt from this limit (${exemption}), so it is not stopped.`;
  const when = stopAt === null ? 'once the limit is reached' : `at the earliest at ${isoTime(stopAt).slice(0, 16).replace('T', ' ')} UTC`;
  const last = stage === 'final' ? 'This is the last warning. ' : '';
  return kind === 'idle' ? `${last}Unless it is used again, it may be stopped ${when}. To defer that: gpuctl keep ${name}` : `${last}It may be stopped ${when}: save your work.`;
}

function exemptionText({ exemption, exemptUntil }: Decision['evidence']): string {
  return `${String(exemption ?? '')}${typeof exemptUntil === 'string' ? `, until ${exemptUntil}` : ''}`;
}

/** Whoever claims to be another is told neither the reason nor more than that the claim gains nothing. */
function untrustedText({ exemptionNotTrusted: until }: Decision['evidence'], stage: Stage): string {
  return typeof until === 'string' && stage !== 'stopped' ? ` The exemption until ${until} does not count here: ${NOT_TRUSTED}.` : '';
}

function numberIn(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}

function duration(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return `${Math.floor(ms / 1000)} s`;
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
