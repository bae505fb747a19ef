// Takes the lock named on the command line, under the name that follows it, says so, starts a child that outlives it, and holds on until it is killed.
import { spawn } from 'node:child_process';
import { createLock } from '../../../../src/record/lock.ts';

const held = await createLock({ file: process.argv[2] ?? '', as: process.argv[3] ?? '' }).acquire();
const child = spawn('sleep', ['300'], { stdio: 'ignore', detached: true });
process.stdout.write(`${JSON.stringify({ held: held !== null, child: child.pid })}\n`);
setInterval(() => undefined, 60_000);
