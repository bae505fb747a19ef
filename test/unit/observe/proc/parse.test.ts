import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { containerIdsIn } from '../../../../src/observe/proc/index.ts';
import { parseCgroups, parseStat, parseStatus } from '../../../../src/observe/proc/parse.ts';

const ID = '0123456789abcdef'.repeat(4);
const OTHER = 'f'.repeat(64);

function stat(command: string): string {
  return `77 (${command}) S 12 77 77 0 -1 4194304 91 0 0 0 1 2 0 0 20 0 1 0 8888 10067968 300 18446744073709551615 1 2 3\n`;
}

describe('/proc/PID/stat', () => {
  test.each(['sleep', '', ') R 1 (', 'a) Z 1 1 (b', ' ', 'line\nbreak', '))))', '((((', '\u{1F680}'])('is counted from behind the name, even where that is %j', (command) => {
    expect(parseStat(stat(command))).toEqual({ command, runState: 'S', parentPid: 12, startTicks: 8888 });
  });

  test('keeps its fields under any name', () => {
    fc.assert(fc.property(fc.string({ maxLength: 15 }), (command) => {
      expect(parseStat(stat(command))).toEqual({ command, runState: 'S', parentPid: 12, startTicks: 8888 });
    }));
  });

  test.each(['Z', 'X'])('of a process whose first thread alone is in state %s is that of a living one, and not where there is no other thread', (letter) => {
    const leader = stat('x').replace(') S ', `) ${letter} `);
    expect(parseStat(leader)).toMatchObject({ runState: letter });
    expect(parseStat(leader.replace(' 20 0 1 0 8888', ' 20 0 2 0 8888'))).toMatchObject({ runState: 'S', startTicks: 8888 });
  });

  test('cut at any byte before its start time is refused', () => {
    const whole = stat('x');
    for (let at = 0; at < whole.indexOf(' 8888'); at += 1) expect(parseStat(whole.slice(0, at))).toBeNull();
  });
});

describe('/proc/PID/status', () => {
  test('gives the effective uid and the process of a thread', () => {
    expect(parseStatus('Name:\tx\nTgid:\t70\nPid:\t77\nUid:\t1000\t1001\t1002\t1003\n')).toEqual({ uid: 1001, processId: 70 });
  });

  test('is not misled by a name that looks like a field', () => {
    expect(parseStatus('Name:\tUid:\\t0\\t0\nTgid:\t7\nUid:\t5\t6\t7\t8\n')).toEqual({ uid: 6, processId: 7 });
  });

  test.each(['', 'Name:\tx\n', 'Uid:\t5\t6\t7\t8\n'])('without a needed field is refused: %j', (text) => {
    expect(parseStatus(text)).toBeNull();
  });
});

describe('/proc/PID/cgroup', () => {
  test.each<[string, string, readonly string[]]>([
    ['of version 2', `0::/system.slice/docker-${ID}.scope\n`, [`/system.slice/docker-${ID}.scope`]],
    ['of version 1', `3:cpu,cpuacct:/docker/${ID}\n2:memory:/docker/${ID}\n1:name=systemd:/docker/${ID}\n`, [`/docker/${ID}`]],
    ['of both', `1:name=systemd:/user.slice\n0::/\n`, ['/user.slice', '/']],
    ['with a colon in the path', '0::/a:b:/c\n', ['/a:b:/c']],
    ['of a folder that is gone', '0::/x (deleted)\n', ['/x (deleted)']],
  ])('%s gives the path of every hierarchy as it stands, each once', (_, text, paths) => {
    expect(parseCgroups(text)).toEqual(paths);
  });

  test('without a single path is unknown, not empty', () => {
    expect(parseCgroups('')).toBeNull();
  });
});

describe('container ids in cgroup paths', () => {
  test('are found wherever they stand, each once', () => {
    expect(containerIdsIn([`/docker/${ID}/docker/${OTHER}`, `/system.slice/docker-${ID}.scope`, `/libpod-${OTHER}`])).toEqual([ID, OTHER]);
  });

  test.each([`/docker/${ID.slice(1)}`, `/docker/${ID}0`, `/docker/${ID.toUpperCase()}`, '/', ''])('are exactly 64 lower-case hex digits, which %j does not hold', (path) => {
    expect(containerIdsIn([path])).toEqual([]);
  });

  test('are no more than sixteen, however many a path was made to hold', () => {
    expect(containerIdsIn(Array.from({ length: 100 }, (_, at) => `/docker/${at.toString(16).padStart(64, '0')}`))).toHaveLength(16);
  });
});
