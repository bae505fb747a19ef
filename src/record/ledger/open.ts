import { closeSync, constants, existsSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { HealthUpdate } from '../../model/health.ts';
import type { LastPass } from '../../model/metrics.ts';
import type { ConditionLedger, KernelLogLedger, Ledger, LimitsLedger, NoticeLedger, ResetLedger } from '../../passes/ports.ts';
import { makeFolderFor } from '../folder.ts';
import { type AcceptanceLedger, acceptanceIn } from './accepted.ts';
import { actsIn } from './acts.ts';
import { headerForbidsWriting, openNothing, openWritable } from './database.ts';
import { conditionsIn } from './conditions.ts';
import { clockIn } from './clock.ts';
import { devicesIn } from './devices.ts';
import { asLedgerError, isDamage } from './errors.ts';
import { healthIn } from './health.ts';
import { historyIn } from './history.ts';
import { kernelLogIn } from './kernel-log.ts';
import { type InventoryLedger, inventoryIn } from './inventory.ts';
import { limitsIn } from './limits.ts';
import { noticesIn } from './notices.ts';
import { observationsIn } from './observations.ts';
import { lastPassesIn } from './last-passes.ts';
import { passesIn } from './passes.ts';
import { openExisting } from './read.ts';
import { resetsIn } from './resets.ts';
import { setLedgerAside, syncFolder } from './set-aside.ts';
import { type Store, storeOn } from './store.ts';

const KEEP_SAMPLES_MS = 30 * 24 * 3_600_000;

export interface LedgerOptions {
  readonly file: string;
  /** Wall time, milliseconds since 1970 UTC. */
  readonly now: () => number;
  /** `read` changes nothing and creates nothing; a method that writes is then a bug and throws. */
  readonly mode: 'write' | 'read';
  /** How long memory samples live; 30 days where it is not given. */
  readonly keepSamplesMs?: number;
}

/** A ledger, and what became of opening it. */
export interface OpenLedger extends Ledger, InventoryLedger, AcceptanceLedger {
  /** Replaces all that was known of the health of these devices. */
  recordHealth(update: HealthUpdate): void;
  /** Null: its content is what gpuctl remembers (a ledger that does not exist remembers nothing). Otherwise why it could not be read; the history is empty then, and means "not known". */
  readonly unreadable: string | null;
  /** What the same file remembers for limits. */
  readonly limits: LimitsLedger;
  /** And for notices to admins. */
  readonly notices: NoticeLedger;
  /** And of findings that last. */
  readonly conditions: ConditionLedger;
  /** As every ledger may have them; this one does. */
  untoldPasses: NonNullable<Ledger['untoldPasses']>;
  markPassesTold: NonNullable<Ledger['markPassesTold']>;
  /** The last pass of each job that came to its end. */
  lastPasses(): readonly LastPass[];
  /** As every ledger may have it; this one does. */
  recordInventory: NonNullable<Ledger['recordInventory']>;
  /** And of resets, step by step. */
  readonly resets: ResetLedger;
  /** And of the kernel log. */
  readonly kernelLog: KernelLogLedger;
}

/**
 * Opens the host's ledger. Writing: the folder (0755) and the file (0600) are made where they are missing, an older ledger
 * is brought up to date, and a damaged one is renamed and begun anew, which `setAside` tells. Throws LedgerError where it
 * cannot be written, or is of a newer gpuctl.
 */
export function openLedger(options: LedgerOptions): OpenLedger {
  try {
    return options.mode === 'write' ? openToWrite(options) : openToRead(options);
  } catch (error) {
    throw asLedgerError(error, options.file);
  }
}

function openToRead(options: LedgerOptions): OpenLedger {
  const found = openExisting(options.file, (store) => ledgerOn(store, options));
  return { ...(found.ledger ?? ledgerOn(storeOn(openNothing(), options.file, false), options)), setAside: null, unreadable: found.unreadable };
}

function openToWrite(options: LedgerOptions): OpenLedger {
  const { file } = options;
  makeFolderFor(file);
  createFile(file);
  const { ino } = statSync(file);
  try {
    return { ...openSound(options), setAside: null, unreadable: null };
  } catch (error) {
    if (!isDamage(error) && !headerForbidsWriting(file)) throw error;
    // Another process may have set it aside meanwhile: what lies there now is then the new one.
    if (statSync(file).ino !== ino) throw error;
  }
  const setAside = setLedgerAside(file, options.now());
  createFile(file);
  return { ...openSound(options), setAside, unreadable: null };
}

/** A schema that the statements do not fit is damage as well, so they are prepared here. */
function openSound(options: LedgerOptions): LedgerMethods {
  const db = openWritable(options.file);
  try {
    return ledgerOn(storeOn(db, options.file, true), options);
  } catch (error) {
    db.close();
    throw error;
  }
}

/** SQLite would create it readable for everybody; the -wal and -shm take their mode from it. */
function createFile(file: string): void {
  if (existsSync(file)) return;
  closeSync(openSync(file, constants.O_CREAT | constants.O_RDWR | constants.O_NOFOLLOW, 0o600));
  syncFolder(dirname(file));
}

type LedgerMethods = Omit<OpenLedger, 'setAside' | 'unreadable'>;

function ledgerOn(store: Store, { now, keepSamplesMs = KEEP_SAMPLES_MS }: LedgerOptions): LedgerMethods {
  return {
    history: historyIn(store, now),
    ...passesIn(store, keepSamplesMs),
    ...actsIn(store),
    ...observationsIn(store),
    ...devicesIn(store),
    ...clockIn(store),
    ...healthIn(store),
    ...inventoryIn(store),
    ...acceptanceIn(store),
    limits: limitsIn(store),
    notices: noticesIn(store),
    conditions: conditionsIn(store),
    lastPasses: lastPassesIn(store),
    resets: resetsIn(store),
    kernelLog: kernelLogIn(store),
    close: () => { store.close(); },
  };
}
