'use strict';
// Loaded before gpuctl by `node --require`: names every call by which it changes something outside itself, and kills the
// process right before call number FAULTS_NTH of the name FAULTS_AT, or in the middle of it with FAULTS_HALF. Of calls that
// go on at the same time the order may differ from run to run; how many there are of each name may not. FAULTS_LOG gets one
// line a call, with `half` where it has a middle, and at the end one that says that the process was killed.
const fs = require('node:fs');
const http = require('node:http');
const childProcess = require('node:child_process');
const sqlite = require('node:sqlite');

const { FAULTS_AT: at, FAULTS_LOG: log, FAULTS_DIR: dir } = process.env;
const nth = Number(process.env.FAULTS_NTH ?? 0);
const half = process.env.FAULTS_HALF === '1';
const { writeSync, openSync, constants } = fs;
const reallyKill = process.kill.bind(process);
const logFd = openSync(log, 'a');
const calls = new Map();

/** What is another one in each run: the host's folder, ids of containers and passes, pids. */
function lasting(name) {
  return name.replaceAll(dir, '…').replaceAll(/[0-9a-f]{12,64}|[0-9A-HJKMNP-TV-Z]{26}/g, '#').replaceAll(new RegExp(`\\b${process.pid}\\b`, 'g'), '#');
}

function die() {
  writeSync(logFd, 'killed\n');
  reallyKill(process.pid, 'SIGKILL');
}

/** True: the process is to be killed in the middle of this call, which its caller must see to. */
function isMiddle(called, hasMiddle) {
  const name = lasting(called);
  const count = (calls.get(name) ?? 0) + 1;
  calls.set(name, count);
  writeSync(logFd, `${hasMiddle ? 'half' : 'call'} ${name}\n`);
  if (name !== at || count !== nth) return false;
  if (!half) die();
  return true;
}

/** `begin` does half of the call, where there is such a thing. */
function watch(object, method, describe, begin) {
  const original = object[method];
  object[method] = function watched(...args) {
    const name = describe(...args);
    if (name !== null && isMiddle(name, begin !== undefined)) {
      begin(original, args);
      die();
    }
    return original.apply(this, args);
  };
}

const isOutside = (path) => typeof path === 'string' && !path.startsWith('/proc/') && !path.startsWith('/sys/');
const writes = (flags) => (typeof flags === 'number' ? (flags & (constants.O_WRONLY | constants.O_RDWR | constants.O_CREAT)) !== 0 : typeof flags === 'string' && flags !== 'r');

const opened = new Map();
watch(fs, 'openSync', (path, flags) => (isOutside(path) && writes(flags) ? `open ${path}` : null));
const openWatched = fs.openSync;
fs.openSync = (path, ...more) => {
  const fd = openWatched(path, ...more);
  opened.set(fd, path);
  return fd;
};
const eventIn = (data) => /"event\.action":"([a-z_.]+)"/.exec(Buffer.from(data).toString('utf8'))?.[1];
// What goes to the standard streams is no change of the host, and goes another way besides.
watch(fs, 'writeSync', (fd, data) => (fd <= 2 ? null : `write ${opened.get(fd)} ${eventIn(data) ?? ''}`.trimEnd()), (original, [fd, data]) => {
  const bytes = Buffer.from(data);
  original(fd, bytes.subarray(0, bytes.length >> 1));
});
for (const method of ['renameSync', 'unlinkSync', 'rmSync', 'rmdirSync', 'mkdirSync', 'writeFileSync', 'appendFileSync', 'linkSync', 'symlinkSync']) watch(fs, method, (file) => `${method} ${opened.get(file) ?? file}`);
for (const method of ['ftruncateSync', 'fsyncSync', 'fchmodSync', 'fchownSync']) watch(fs, method, (fd) => `${method} ${opened.get(fd)}`);
// What was written in a transaction is there with its COMMIT and not before, so one point a transaction is enough.
let writing = false;
watch(sqlite.DatabaseSync.prototype, 'exec', (sql) => {
  if (/^\s*BEGIN/.test(sql)) writing = /^\s*BEGIN IMMEDIATE/.test(sql);
  return sql === 'COMMIT' && writing ? 'commit' : null;
});
watch(childProcess, 'spawn', (file, args) => `spawn ${[file, ...(Array.isArray(args) ? args : [])].join(' ').slice(0, 120)}`);
watch(process, 'kill', (pid, signal) => (signal === 0 ? null : `kill ${signal}`));

// The middle of what the engine is told: all of it is on its way, and the engine at work.
const { request } = http;
http.request = (...args) => {
  const { method = 'GET', path = '' } = args.find((each) => each !== null && typeof each === 'object' && 'method' in each) ?? {};
  const dies = method !== 'GET' && method !== 'HEAD' && isMiddle(`${method} ${path}`, true);
  const call = request(...args);
  if (dies) call.once('finish', die);
  return call;
};
