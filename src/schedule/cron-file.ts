import { ExitCode, GpuctlError } from '../model/errors.ts';
import { MARKER, PROGRAM } from './own-files.ts';
import { fieldsOf, type Schedule, type Slot, slotsOf } from './slots.ts';

const HEAD = `${MARKER}
# A change of the times belongs into the section "schedule" of /etc/gpuctl/config.yaml.
#
# The order within the hour is the point: stale allocations are released first, so that the idle check counts what is
# really allocated; idle containers are stopped before the runtime limit is enforced; what was stopped is removed last.
# None starts while an earlier one is likely still running: "gpuctl schedule check" proves it for every day to come.
#
# What the jobs do goes to the events file, and nothing is printed with --quiet but what went wrong: that goes to the
# system's log under the name gpuctl, which has its own rotation. Should logger fail, cron mails root what it says.
# --scheduled: nothing acts in the first five minutes after boot, while engine and driver are still coming up.

SHELL=/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
MAILTO=root

# m h dom mon dow user command
`;

/** The text of /etc/cron.d/gpuctl. Throws GpuctlError (exit 2) for a pattern that cron would read in its own way. */
export function renderCronFile(schedule: Schedule): string {
  const lines = slotsOf(schedule).map(cronLine);
  return `${HEAD}${lines.join('\n')}\n`;
}

function cronLine({ job, pattern }: Slot): string {
  fieldsOf(pattern);
  return `${pattern} root ${commandIn(`${PROGRAM} ${job} --scheduled --quiet 2>&1 | logger -t gpuctl`)}`;
}

/** cron cuts a command at a per cent sign, and a line at its end. */
function commandIn(command: string): string {
  if (/[%\n]/.test(command)) throw new GpuctlError(`a cron line cannot hold ${JSON.stringify(command)}`, { code: 'schedule-unwritable', exitCode: ExitCode.bug });
  return command;
}
