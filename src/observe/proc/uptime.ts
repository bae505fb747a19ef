import { readFileSync } from 'node:fs';

/** How long the host has been up, milliseconds, time asleep included; null: not known. */
export function readUptimeMs(): number | null {
  try {
    const seconds = /^(\d+(?:\.\d+)?) /.exec(readFileSync('/proc/uptime', 'utf8'))?.[1];
    return seconds === undefined ? null : Math.round(Number(seconds) * 1000);
  } catch {
    return null;
  }
}
