import type { Finding } from '../model/finding.ts';
import { HEALTH_CHECKS, type HealthCheck } from '../model/health-checks.ts';
import { JUDGES } from './health/checks.ts';
import type { HealthFacts } from './health/facts.ts';
import type { Verdict } from './health/verdict.ts';

/** What one check said of one device; *off*: the configuration switches it off. */
export interface CheckResult {
  readonly check: HealthCheck;
  readonly verdict: Verdict | { readonly state: 'off' };
}

/** Every check of one device, in the order of the table, whatever it said. */
export function decideChecks(facts: HealthFacts): readonly CheckResult[] {
  return HEALTH_CHECKS.map((check) => ({ check, verdict: facts.rules.disabled.has(check.id) ? { state: 'off' } : judge(check, facts) }));
}

function judge({ id }: HealthCheck, facts: HealthFacts): Verdict {
  const rule = JUDGES[id];
  if (rule === undefined) throw new Error(`nothing judges ${id}`);
  return rule(facts);
}

/** What the readings of one board say, by themselves and beside earlier ones. A reading that is absent or unsupported is neither healthy nor faulty. */
export function decideHealth(facts: HealthFacts): readonly Finding[] {
  return decideChecks(facts).flatMap(({ check, verdict }) => (verdict.state === 'found' ? [findingOf(check, verdict, facts)] : []));
}

function findingOf(check: HealthCheck, { message, evidence }: Verdict & { readonly state: 'found' }, facts: HealthFacts): Finding {
  const { id, severity, source, minDriver } = check;
  return { id, severity, subject: { gpu: facts.gpu.uuid }, message, remedy: remedyOf(check, facts), evidence, source, minDriver };
}

/**
 * A board that answers with "GPU requires reset" in place of its process list could be reset only blindly, so gpuctl does
 * not: the list is the one proof that nobody is on it.
 */
function remedyOf({ id, remedy }: HealthCheck, { gpu }: HealthFacts): string {
  if (id !== 'gpu.fault' || !gpu.faults.includes('GPU requires reset') || gpu.faults.includes('GPU is lost')) return typed(remedy, gpu);
  if (gpu.processes.state === 'known') return 'gpuctl resets it at the next moment when nothing refers to it';
  return `nvidia-smi cannot tell who is on it, so gpuctl does not reset it: end who has /dev/nvidia${gpu.minorNumber ?? 'N'} open (fuser -v /dev/nvidia${gpu.minorNumber ?? 'N'}), then nvidia-smi -r -i ${gpu.pciBusId} by hand, or reboot the host`;
}

/** Commands as they can be typed: the table has GPU and BUS in place of the device. */
function typed(remedy: string, { index, uuid, pciBusId }: HealthFacts['gpu']): string {
  return remedy.replaceAll('BUS', pciBusId).replace(/(--device|gpuctl reset) GPU\b/g, `$1 ${index ?? uuid}`);
}
