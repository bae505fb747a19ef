import { readFileSync } from 'node:fs';

/** How long the host has been up, milliseconds, time asleep included; null: not known. */
export function readUptimeMs(file = '/proc/uptime'): number | null {
  try {
    const seconds = /^(\d+(?:\.\d+)?) /.exec(readFileSync(file, 'utf8'))?.[1];
    return seconds === undefined ? null : Math.round(Number(seconds) * 1000);
  } catch {
    return null;
  }
}
