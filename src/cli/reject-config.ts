import { hostname } from 'node:os';
import { ulid } from 'ulid';
import { rawDefaults } from '../config/defaults.ts';
import { ConfigError, renderMistake } from '../config/mistake.ts';
import { readTrustedFile } from '../config/trusted-file.ts';
import { counted } from '../model/text.ts';
import { createEventSink } from '../record/event-sink.ts';
import type { Globals } from './globals.ts';
import { version } from './version.ts';

/** Tells the event stream that the configuration was rejected, then throws the error on. */
export async function rejectConfig(error: unknown, globals: Globals): Promise<never> {
  if (!(error instanceof ConfigError) || process.geteuid?.() !== 0) throw error;
  const sink = createEventSink({
    file: await eventFile(globals.config), stderr: process.stderr,
    context: { host: hostname(), version, now: () => Date.now(), pass: ulid(), job: null, dryRun: globals.dryRun === true },
    ...(globals.events === true ? { stdout: process.stdout } : {}),
  });
  sink.emit({ action: 'config.rejected', message: `the configuration is not valid: ${counted(error.mistakes.length, 'mistake')}; nothing was done`, facts: { mistakes: error.mistakes.map(renderMistake) } });
  sink.close();
  throw error;
}

/** Where the rejected file itself wants its events, if only root can have written it and that one key is sound; else the default. */
async function eventFile(configFile = '/etc/gpuctl/config.yaml'): Promise<string> {
  const text = readTrustedFile(configFile);
  if (text.state !== 'read') return rawDefaults.events.file;
  const { parseDocument } = await import('yaml');
  const file = parseDocument(text.value, { logLevel: 'silent' }).getIn(['events', 'file']);
  return typeof file === 'string' && /^\/[^\p{Cc}]+$/u.test(file) ? file : rawDefaults.events.file;
}
