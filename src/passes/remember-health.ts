import { defaultHealthRules, healthFactsOf } from '../decide/health/facts.ts';
import { learnHealth } from '../decide/health/marks.ts';
import type { Pass } from './pass.ts';

/** What the latest look taught about the health of the boards; after the findings, which compare it with what was known before. */
export function rememberHealth({ latest, options, parts }: Pass): void {
  if (latest === null || !options.records || latest.gpus.length === 0) return;
  const { health = defaultHealthRules, toleranceMiB } = parts.policy;
  parts.ledger.recordHealth?.(learnHealth(latest.gpus.map((gpu) => healthFactsOf(gpu, latest, health)), toleranceMiB));
}
