import type { Debt, OpenDebt, ResetRun, ResetStep } from '../../model/reset.ts';
import { debtKey } from '../../model/reset.ts';
import type { ResetLedger } from '../../passes/ports.ts';
import type { Store } from './store.ts';

/** The ledger's journal of resets: every step before and after it is taken, and what must be put back. */
export function resetsIn(store: Store): ResetLedger {
  return { ...runsIn(store), ...debtsIn(store), ...quarantineIn(store), unsettled: unsettledIn(store) };
}

function runsIn(store: Store): Pick<ResetLedger, 'beginReset' | 'beginStep' | 'endStep' | 'endReset' | 'wasTried'> {
  const begin = store.prepare('INSERT INTO reset_runs (pass_id, gpu_uuid, pci_bus_id, gpu_index, begun_at) VALUES (?, ?, ?, ?, ?)');
  const end = store.prepare('UPDATE reset_runs SET ended_at = ? WHERE number = ? AND ended_at IS NULL');
  const step = store.prepare('INSERT INTO reset_steps (run, kind, subject, begun_at) VALUES (?, ?, ?, ?)');
  const endStep = store.prepare('UPDATE reset_steps SET ended_at = ?, result = ?, detail = ? WHERE number = ?');
  const owe = store.prepare(`
    INSERT INTO reset_debts (run, gpu_uuid, key, debt, since) SELECT :run, gpu_uuid, :key, :debt, :at FROM reset_runs WHERE number = :run
    ON CONFLICT DO NOTHING`);
  const tried = store.prepare(`
    SELECT EXISTS (SELECT 1 FROM reset_steps WHERE run = r.number AND kind = 'reset') AS tried
    FROM reset_runs r WHERE pass_id = ? AND gpu_uuid = ? ORDER BY number DESC LIMIT 1`);
  return {
    beginReset: (passId, { uuid, pciBusId, index }, at) => store.write(() => Number(begin.run(passId, uuid, pciBusId, index, at).lastInsertRowid)),
    beginStep: (run, { kind, subject, debts }, at) => store.write(() => {
      for (const debt of debts) owe.run({ run, key: debtKey(debt), debt: JSON.stringify(debt), at });
      return Number(step.run(run, kind, subject, at).lastInsertRowid);
    }),
    endStep: (number, { result, detail }, at) => store.write(() => { endStep.run(at, result, detail, number); }),
    endReset: (run, at) => store.write(() => { end.run(at, run); }),
    wasTried: (passId, gpuUuid) => store.read(() => {
      const row = tried.get(passId, gpuUuid);
      return row === undefined ? null : row['tried'] === 1;
    }),
  };
}

function debtsIn(store: Store): Pick<ResetLedger, 'payDebt' | 'oweDebt'> {
  const pay = store.prepare("UPDATE reset_debts SET paid_at = ?, paid_how = 'restored' WHERE gpu_uuid = ? AND key = ? AND paid_at IS NULL");
  const why = store.prepare('UPDATE reset_debts SET why = ? WHERE gpu_uuid = ? AND key = ? AND paid_at IS NULL');
  return {
    payDebt: (gpuUuid, debt, at) => store.write(() => { pay.run(at, gpuUuid, debtKey(debt)); }),
    oweDebt: (gpuUuid, debt, reason) => store.write(() => { why.run(reason, gpuUuid, debtKey(debt)); }),
  };
}

function quarantineIn(store: Store): Pick<ResetLedger, 'quarantined' | 'clearQuarantine'> {
  const all = store.prepare('SELECT gpu_uuid AS gpuUuid, at FROM quarantine ORDER BY at, gpu_uuid');
  const leave = store.prepare('DELETE FROM quarantine WHERE gpu_uuid = ?');
  const forgive = store.prepare('UPDATE resets SET forgiven = 1 WHERE gpu_uuid = ?');
  const open = store.prepare('SELECT debt FROM reset_debts WHERE gpu_uuid = ? AND paid_at IS NULL ORDER BY number');
  const giveUp = store.prepare("UPDATE reset_debts SET paid_at = ?, paid_how = 'given-up' WHERE gpu_uuid = ? AND paid_at IS NULL");
  return {
    quarantined: () => store.read(() => all.all().map((row) => ({ gpuUuid: String(row['gpuUuid']), at: Number(row['at']) }))),
    clearQuarantine: (gpuUuid, at) => store.write(() => {
      leave.run(gpuUuid);
      forgive.run(gpuUuid);
      const given = open.all(gpuUuid).map(debtIn);
      giveUp.run(at, gpuUuid);
      return given;
    }),
  };
}

function unsettledIn(store: Store): ResetLedger['unsettled'] {
  const runs = store.prepare(`
    SELECT number, pass_id AS passId, gpu_uuid AS uuid, pci_bus_id AS pciBusId, gpu_index AS gpuIndex, begun_at AS begunAt, ended_at AS endedAt
    FROM reset_runs WHERE ended_at IS NULL OR number IN (SELECT run FROM reset_debts WHERE paid_at IS NULL) ORDER BY number`);
  const steps = store.prepare('SELECT kind, subject, begun_at AS begunAt, result FROM reset_steps WHERE run = ? ORDER BY number');
  const debts = store.prepare('SELECT debt, since, why FROM reset_debts WHERE run = ? AND paid_at IS NULL ORDER BY number');
  return () => store.read(() => runs.all().map((row): ResetRun => {
    const number = Number(row['number']);
    const index = row['gpuIndex'];
    return {
      number, passId: String(row['passId']), begunAt: Number(row['begunAt']), endedAt: row['endedAt'] === null ? null : Number(row['endedAt']),
      target: { kind: 'gpu', uuid: String(row['uuid']), pciBusId: String(row['pciBusId']), index: index === null ? null : Number(index) },
      steps: steps.all(number).map((each) => ({ ...each }) as unknown as ResetStep),
      debts: debts.all(number).map((each): OpenDebt => ({ debt: debtIn(each), since: Number(each['since']), why: each['why'] === null ? null : String(each['why']) })),
    };
  }));
}

function debtIn(row: Readonly<Record<string, unknown>>): Debt {
  return JSON.parse(String(row['debt'])) as Debt;
}

/** Forgets runs that are old and owe nothing; part of the end of a pass. */
export function pruningResets(store: Store, keepMs: number): (now: number) => void {
  const runs = store.prepare('DELETE FROM reset_runs WHERE ended_at < ? AND number NOT IN (SELECT run FROM reset_debts WHERE paid_at IS NULL)');
  return (now) => { runs.run(now - keepMs); };
}
