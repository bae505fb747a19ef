import type { Finding } from '../model/finding.ts';
import type { History } from '../model/history.ts';
import { debtRemedy, debtText } from '../model/reset.ts';
import { isoTime } from '../model/time.ts';

/** What a reset owes is not told as a loss while it may still be under way. */
const UNDER_WAY_MS = 2 * 60_000;

/** What the ledger holds of resets that an admin should know: boards in quarantine, and what was not put back. */
export function resetStateFindings(history: History, now: number): readonly Finding[] {
  return [
    ...history.quarantined.map((gpu): Finding => ({
      id: 'gpu.quarantined', severity: 'critical', subject: { gpu },
      message: `it is in quarantine: it was reset too often, or the driver called it unstable${lastReset(history, gpu)}`,
      remedy: `have the board checked, then: gpuctl quarantine clear ${gpu}`,
    })),
    ...(history.resetDebts ?? []).map(({ gpuUuid, pciBusId, debt, since, why }): Finding => ({
      id: debt.kind === 'service' ? 'gpu.reset.service_not_restored' : 'gpu.reset.setting_not_restored', severity: why === null && now - since < UNDER_WAY_MS ? 'info' : 'warning', subject: { gpu: gpuUuid },
      message: `not put back since its reset of ${isoTime(since)}: ${debtText(debt)}${why === null ? '' : ` (${why})`}`,
      remedy: `${debtRemedy(debt, pciBusId)}; gpuctl tries it at every pass that acts, until gpuctl quarantine clear ${gpuUuid} takes it away`,
    })),
  ];
}

function lastReset({ resets }: History, gpuUuid: string): string {
  const last = resets.findLast((reset) => reset.gpuUuid === gpuUuid);
  return last === undefined ? '' : `; last reset at ${isoTime(last.at)}`;
}
