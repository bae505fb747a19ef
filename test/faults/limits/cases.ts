import { exportCases } from './export-cases.ts';
import { archiveCases } from './notice-cases.ts';
import { orderCases } from './order-cases.ts';
import { recordCases } from './record-cases.ts';
import type { LimitCase } from './run.ts';
import { terminalCases } from './terminal-cases.ts';

/** Every call out by which passes about limits change containers and tell their owners, with every fault. */
export const LIMIT_CASES: readonly LimitCase[] = [...orderCases(), ...recordCases(), ...archiveCases(), ...terminalCases(), ...exportCases()];
