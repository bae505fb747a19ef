'use strict';
// Loaded before gpuctl by `node --require`: counts every call by which it changes something outside itself, and kills the
// process right before call number FAULTS_AT (from 1), or in the middle of it with FAULTS_HALF. FAULTS_LOG gets one line a call.
const fs = require('node:fs');
const childProcess = require('node:child_process');
const sqlite = require('node:sqlite');

const at = Number(process.env.FAULTS_AT ?? 0);
const half = process.env.FAULTS_HALF === '1';
const log = process.env.FAULTS_LOG;
const { writeSync, openSync, constants } = fs;
const kill = process.kill.bind(process);
const logFd = log === undefined ? null : openSync(log, 'a');
let calls = 0;

/** `begin` does half of the call, where there is such a thing. */
function step(name, begin) {
  calls += 1;
  if (logFd !== null) writeSync(logFd, `${calls} ${name}\n`);
  if (calls !== at) return;
  if (half && begin !== undefined) begin();
  kill(process.pid, 'SIGKILL');
}

function watch(object, method, describe, begin) {
  const original = object[method];
  object[method] = function watched(...args) {
    const name = describe(...args);
    if (name !== null) step(name, begin === undefined ? undefined : () => begin(original, args));
    return original.apply(this, args);
  };
}

const isOutside = (path) => typeof path === 'string' && !path.startsWith('/proc/') && !path.startsWith('/sys/');
const writes = (flags) => (typeof flags === 'number' ? (flags & (constants.O_WRONLY | constants.O_RDWR | constants.O_CREAT)) !== 0 : typeof flags === 'string' && flags !== 'r');

// What goes to the standard streams is no change of the host, and goes another way besides.
watch(fs, 'writeSync', (fd) => (fd <= 2 ? null : 'write'), (original, [fd, data]) => {
  const bytes = Buffer.from(data);
  original(fd, bytes.subarray(0, bytes.length >> 1));
});
watch(fs, 'openSync', (path, flags) => (isOutside(path) && writes(flags) ? `open ${path}` : null));
for (const method of ['renameSync', 'unlinkSync', 'rmSync', 'rmdirSync', 'mkdirSync', 'writeFileSync', 'appendFileSync', 'linkSync', 'symlinkSync']) watch(fs, method, (path) => `${method} ${path}`);
for (const method of ['ftruncateSync', 'fsyncSync', 'fchmodSync', 'fchownSync']) watch(fs, method, () => method);
// What was written in a transaction is there with its COMMIT and not before, so one point a transaction is enough.
let writing = false;
watch(sqlite.DatabaseSync.prototype, 'exec', (sql) => {
  if (/^\s*BEGIN/.test(sql)) writing = /^\s*BEGIN IMMEDIATE/.test(sql);
  return sql === 'COMMIT' && writing ? 'commit' : null;
});
watch(childProcess, 'spawn', (file, args) => `spawn ${[file, ...(Array.isArray(args) ? args : [])].join(' ').slice(0, 120)}`);
watch(process, 'kill', (pid, signal) => (signal === 0 ? null : `kill ${signal}`));
