import { basename, join } from 'node:path';
import type { ScheduledCommand } from '../../model/schedule.ts';

/** The values of a key in a unit, in order; an empty one clears those before it. Sections are not told apart: no key here is in two. */
function parseUnitKey(text: string, key: string): readonly string[] {
  const lines = text.replaceAll(/\\\n/g, ' ').split('\n').map((line) => line.trim());
  return lines.filter((line) => line.startsWith(`${key}=`)).reduce<readonly string[]>((values, line) => {
    const value = line.slice(key.length + 1).trim();
    return value === '' ? [] : [...values, value];
  }, []);
}

/** What a timer starts and when. `read`: the text of a unit by its name; null: there is none, or it cannot be read. */
export function parseTimer(name: string, folder: string, read: (unit: string) => string | null): readonly ScheduledCommand[] {
  const text = read(name) ?? '';
  const unit = basename(parseUnitKey(text, 'Unit').at(-1) ?? name.replace(/\.timer$/, '.service'));
  const service = read(unit) ?? '';
  const when = ['OnCalendar', 'OnUnitActiveSec', 'OnBootSec', 'OnStartupSec'].flatMap((key) => parseUnitKey(text, key).map((value) => (key === 'OnCalendar' ? value : `${key}=${value}`))).join('; ');
  return parseUnitKey(service, 'ExecStart').map((command) => ({ via: 'timer', file: join(folder, name), line: null, when, command: command.replace(/^[-@:+!|]+/, '') }));
}
