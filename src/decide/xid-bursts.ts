import type { Finding } from '../model/finding.ts';
import type { PlacedXid } from './xid.ts';

/** Codes that a fault of the program and a fault of the unit both cause: an exception in its code, a touch of foreign memory. */
const AMBIGUOUS: ReadonlySet<number> = new Set([13, 31]);
const WINDOW_MS = 24 * 3_600_000;
/** Lines of one program within so long are one incident, however many it wrote. */
const APART_MS = 60_000;
const AGAIN_AND_AGAIN = 5;
/** The unit is suspect if it has nearly all of the host's incidents. */
const NEARLY_ALL = 0.8;

/**
 * The same Xid of programs again and again within a day: on one unit of several, the unit is suspect; on several, the
 * software is. On a host with one GPU nobody can tell. For information: only a suspect unit needs an admin.
 */
export function burstFindings(xids: readonly PlacedXid[], gpuCount: number, now: number): readonly Finding[] {
  // What a switch says has no UUID either.
  const recent = xids.filter(({ xid, uuid }) => uuid !== null && AMBIGUOUS.has(xid.code) && now - xid.at < WINDOW_MS);
  return [...Map.groupBy(recent, ({ xid }) => xid.code)].flatMap(([code, ofCode]) => {
    const perUnit = [...Map.groupBy(ofCode, ({ uuid }) => uuid)].map(([uuid, mine]) => ({ uuid: uuid ?? '', incidents: incidentsIn(mine) }));
    const all = perUnit.reduce((sum, { incidents }) => sum + incidents, 0);
    if (all < AGAIN_AND_AGAIN || gpuCount < 2) return [];
    const suspect = perUnit.find(({ incidents }) => incidents >= AGAIN_AND_AGAIN && incidents >= NEARLY_ALL * all);
    return [suspect === undefined ? suspectSoftware(code, perUnit.length, all) : suspectUnit(code, suspect)];
  });
}

/** How often, counting what one program wrote within moments once. */
function incidentsIn(mine: readonly PlacedXid[]): number {
  return [...Map.groupBy(mine, ({ xid }) => xid.pid).values()].reduce((sum, ofOne) => {
    const times = ofOne.map(({ xid }) => xid.at).toSorted((a, b) => a - b);
    return sum + times.filter((at, nth) => nth === 0 || at - (times[nth - 1] ?? at) > APART_MS).length;
  }, 0);
}

function suspectUnit(code: number, { uuid, incidents }: { readonly uuid: string; readonly incidents: number }): Finding {
  return {
    id: `gpu.xid.${code}.repeated`, severity: 'warning', subject: { gpu: uuid },
    message: `Xid ${code} ${incidents} times in a day on this GPU, and hardly on the others: the unit is suspect, or the one program that runs on it`,
    remedy: 'run the same program on another GPU; if it works there, have this board checked (a memory test, dcgmi diag)',
  };
}

function suspectSoftware(code: number, units: number, incidents: number): Finding {
  return {
    id: `xid.${code}.widespread`, severity: 'info', subject: {},
    message: `Xid ${code} ${incidents} times in a day on ${units} GPUs: the software is suspect rather than a unit`,
    remedy: 'find the program that all of them ran',
  };
}
