import type { ScheduledCommand } from '../../model/schedule.ts';

/** `system`: /etc/crontab and /etc/cron.d, with a user before the command; `user`: a crontab of the spool, without. */
export type CrontabKind = 'system' | 'user';

/** Its jobs. Lines that are neither a job, a setting nor a comment are left out: cron refuses the whole file for them. */
export function parseCrontab(text: string, file: string, kind: CrontabKind): readonly ScheduledCommand[] {
  return text.split('\n').flatMap((raw, index) => {
    const line = raw.trim();
    if (line === '' || line.startsWith('#') || /^["']?\w+["']?\s*=/.test(line)) return [];
    const job = jobOn(line, kind);
    return job === null ? [] : [{ via: 'cron' as const, file, line: index + 1, ...job }];
  });
}

function jobOn(line: string, kind: CrontabKind): { readonly when: string; readonly command: string } | null {
  const fields = line.startsWith('@') ? 1 : 5;
  const words = line.split(/\s+/);
  const lead = fields + (kind === 'system' ? 1 : 0);
  if (words.length <= lead) return null;
  return { when: words.slice(0, fields).join(' '), command: words.slice(lead).join(' ') };
}
