// Begins and ends acts on the ledger named on the command line until it is killed, and says each number once it is acknowledged.
import { writeSync } from 'node:fs';
import { openLedger } from '../../../../src/record/ledger/open.ts';

const [file = '', pass = ''] = process.argv.slice(2);
const ledger = openLedger({ file, now: () => Date.now(), mode: 'write' });
if (ledger.setAside !== null) throw new Error(`set aside as ${ledger.setAside}`);
ledger.beginPass({ id: pass, job: 'kill-test', startedAt: Date.now() });
for (;;) {
  const act = ledger.beginAct(pass, 'kill', { kind: 'gpu', uuid: 'GPU', pciBusId: '00000000:3b:00.0', index: 0 }, Date.now());
  writeSync(1, `begun ${act}\n`);
  ledger.endAct(act, { result: 'done', reason: null, detail: '' }, Date.now());
  writeSync(1, `ended ${act}\n`);
}
