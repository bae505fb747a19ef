import { hostname } from 'node:os';
import { createNotifier } from '../act/notify/notifier.ts';
import { openEngine } from '../callout/engine.ts';
import { whyUntrustedProgram } from '../config/trusted-file.ts';
import type { Config } from '../config/types.ts';
import type { Users } from '../observe/users.ts';
import type { PassOptions } from '../passes/pass.ts';
import type { NoticeLedger, Notifier } from '../passes/ports.ts';
import type { UserSide } from '../passes/user-side.ts';
import { type EventContext, renderEvent } from '../record/events.ts';
import { openUserExports } from '../record/exports.ts';
import { openKeepRequests } from '../record/keep-requests.ts';

/** A notice is not worth a longer wait for the engine. */
const LONGEST_NOTICE_MS = 5000;

export interface NotifierSetting {
  readonly config: Config;
  readonly options: PassOptions;
  readonly engineHost: string;
  readonly context: EventContext;
  readonly users: Users;
  readonly ledger: NoticeLedger;
}

/** Null: a dry run and a report tell nobody. */
export function notifierOf({ config, options, engineHost, context, users, ledger }: NotifierSetting): Notifier | null {
  if (!options.records) return null;
  return createNotifier({
    owner: config.notify.owner, sinks: config.notify.admin, cooldownMs: config.notify.cooldownMs,
    host: hostname(), job: options.job, now: context.now, ledger,
    uidOf: users.uidOf,
    engine: openEngine({ host: engineHost, timeoutMs: Math.min(LONGEST_NOTICE_MS, config.engine.timeoutMs) }),
    render: (event) => renderEvent(event, context),
    distrust: whyUntrustedProgram,
  });
}

/** What a pass that records leaves for users, and takes from them. */
export function userSideOf({ state }: Config, users: Users): UserSide {
  return { exports: openUserExports(state.dir), requests: openKeepRequests(state.dir, (uid) => users.nameOf(uid) !== null), uidOf: users.uidOf };
}
