import { engineCases } from './engine-cases.ts';
import { fileCases } from './file-cases.ts';
import { ledgerCases } from './ledger-cases.ts';
import { procCases } from './proc-cases.ts';
import type { FaultCase } from './run.ts';
import { sinkCases } from './sink-cases.ts';
import { smiCases } from './smi-cases.ts';

/** Every call out of `release-stale`, with every fault. */
export const CASES: readonly FaultCase[] = [...engineCases(), ...smiCases(), ...procCases(), ...ledgerCases(), ...fileCases(), ...sinkCases()];
