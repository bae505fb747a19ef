import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { EventContext } from '../../../src/record/events.ts';
import { createEventSink } from '../../../src/record/event-sink.ts';
import { isRoot, readOnlyViewOf, testFolder, tinyFileSystem } from './folders.ts';

const context: EventContext = { host: 'gpu01', pass: 'p', job: 'sample', dryRun: false, version: '0.1.0', now: () => 0 };

function collected(): { readonly out: { write(text: string): void }; text(): string } {
  let all = '';
  return { out: { write(text) { all += text; } }, text: () => all };
}

/** A sink with what it said to the outside. */
function sinkTo(file: string, more: Partial<EventContext> = {}) {
  const stderr = collected();
  const stdout = collected();
  const sink = createEventSink({ file, context: { ...context, ...more }, stderr: stderr.out, stdout: stdout.out });
  return { ...sink, say: (message: string) => { sink.emit({ action: 'pass.started', message }); }, stderr, stdout };
}

function messagesIn(file: string): readonly unknown[] {
  return linesOf(file).map((line) => (JSON.parse(line) as { message: unknown }).message);
}

function linesOf(file: string): readonly string[] {
  return readFileSync(file, 'utf8').split('\n').slice(0, -1);
}

describe('the event file', () => {
  it('is made with its folder, readable for its group only, and holds one line an event', () => {
    const file = join(testFolder(), 'log', 'events.jsonl');
    const sink = sinkTo(file);
    sink.say('one');
    sink.say('two');
    expect(messagesIn(file)).toEqual(['one', 'two']);
    expect(statSync(file).mode & 0o777).toBe(0o640);
    expect(statSync(join(file, '..')).mode & 0o777).toBe(0o755);
    expect([sink.failed(), sink.stderr.text()]).toEqual([false, '']);
    expect(sink.stdout.text()).toBe(readFileSync(file, 'utf8'));
    sink.close();
  });

  it('is appended to by later runs', () => {
    const file = join(testFolder(), 'events.jsonl');
    for (const message of ['one', 'two']) {
      const sink = sinkTo(file);
      sink.say(message);
      sink.close();
    }
    expect(messagesIn(file)).toEqual(['one', 'two']);
  });

  it('is opened anew after it was rotated in the middle of a run', () => {
    const file = join(testFolder(), 'events.jsonl');
    const sink = sinkTo(file);
    sink.say('old');
    renameSync(file, `${file}.1`);
    sink.say('new');
    rmSync(file);
    sink.say('newest');
    expect([messagesIn(`${file}.1`), messagesIn(file)]).toEqual([['old'], ['newest']]);
    sink.close();
  });

  it('is written on where it was cut to nothing in the middle of a run', () => {
    const file = join(testFolder(), 'events.jsonl');
    const sink = sinkTo(file);
    sink.say('old');
    truncateSync(file);
    sink.say('new');
    expect(messagesIn(file)).toEqual(['new']);
    sink.close();
  });

  it('that ends in the middle of a line gets a new line first', () => {
    const file = join(testFolder(), 'events.jsonl');
    writeFileSync(file, '{"half":');
    const sink = sinkTo(file);
    sink.say('whole');
    sink.close();
    const [half, whole = ''] = linesOf(file);
    expect([half, JSON.parse(whole)]).toEqual(['{"half":', expect.objectContaining({ message: 'whole' })]);
  });

  it('is not written in a dry run, whose events are marked', () => {
    const file = join(testFolder(), 'events.jsonl');
    const sink = sinkTo(file, { dryRun: true });
    sink.say('plan');
    expect(existsSync(file)).toBe(false);
    expect(JSON.parse(sink.stdout.text())).toMatchObject({ 'message': 'plan', 'gpuctl.dry_run': true });
    expect(sink.failed()).toBe(false);
  });
});

describe('an event file that cannot be written', () => {
  it('is never a link to somewhere else', () => {
    const folder = testFolder();
    writeFileSync(join(folder, 'victim'), 'precious\n');
    symlinkSync(join(folder, 'victim'), join(folder, 'events.jsonl'));
    const sink = sinkTo(join(folder, 'events.jsonl'));
    sink.say('one');
    expect(sink.failed()).toBe(true);
    expect(readFileSync(join(folder, 'victim'), 'utf8')).toBe('precious\n');
  });

  it('is never a pipe, at which a pass could wait for ever', () => {
    const file = join(testFolder(), 'events.jsonl');
    execFileSync('mkfifo', [file]);
    const sink = sinkTo(file);
    sink.say('one');
    expect([sink.failed(), sink.stderr.text()]).toEqual([true, expect.stringContaining('not a plain file')]);
  });

  it('is reported once, and each later event is tried and still shown', () => {
    const folder = join(testFolder(), 'log');
    writeFileSync(folder, 'a file where a folder should be');
    const sink = sinkTo(join(folder, 'events.jsonl'));
    sink.say('one');
    sink.say('two');
    expect(sink.stderr.text().match(/cannot be written/g)).toHaveLength(1);
    expect(sink.stdout.text().split('\n')).toHaveLength(3);
    rmSync(folder);
    mkdirSync(folder);
    sink.say('three');
    expect(messagesIn(join(folder, 'events.jsonl'))).toEqual(['three']);
    expect(sink.failed()).toBe(true);
    sink.close();
  });

  it.runIf(isRoot)('because the file system is read-only is reported', () => {
    const folder = testFolder();
    chmodSync(folder, 0o755);
    const sink = sinkTo(join(readOnlyViewOf(folder), 'events.jsonl'));
    sink.say('one');
    expect([sink.failed(), sink.stderr.text()]).toEqual([true, expect.stringContaining('EROFS')]);
  });

  it.runIf(isRoot)('because the disk is full loses nothing that was written, and goes on cleanly when there is room', () => {
    const folder = tinyFileSystem(32);
    const file = join(folder, 'events.jsonl');
    const sink = sinkTo(file);
    for (let n = 0; n < 200; n += 1) sink.say(`${n} ${'x'.repeat(200)}`);
    expect(sink.failed()).toBe(true);
    expect(sink.stderr.text().match(/\n/g)).toHaveLength(1);
    const before = linesOf(file);
    truncateSync(file, readFileSync(file).length - 4096);
    sink.say('after');
    sink.close();
    expect(before.length).toBeGreaterThan(20);
    const good = linesOf(file).filter((line) => isJson(line));
    expect(JSON.parse(good.at(-1) ?? '')).toMatchObject({ message: 'after' });
    expect(linesOf(file).length - good.length).toBeLessThanOrEqual(1);
  });
});

function isJson(line: string): boolean {
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}
