/**
 * Bytes received and sent by all interfaces of a /proc/PID/net/dev but loopback. Null: there is no other interface, so
 * nothing is counted. Source: proc_pid_net(5); the first column is bytes received, the ninth bytes sent.
 */
export function parseNetwork(text: string): number | null | 'malformed' {
  const [title = '', , ...lines] = text.split('\n');
  if (!title.startsWith('Inter-')) return 'malformed';
  const rows = lines.filter((line) => line.trim() !== '').map((line) => /^ *([^\s:]+): *(.*)$/.exec(line));
  if (rows.some((row) => row === null)) return 'malformed';
  const counted = rows.filter((row) => row?.[1] !== 'lo').map((row) => {
    const fields = (row?.[2] ?? '').trim().split(/ +/);
    return Number(fields[0] ?? Number.NaN) + Number(fields[8] ?? Number.NaN);
  });
  if (counted.some((bytes) => !Number.isFinite(bytes))) return 'malformed';
  return counted.length === 0 ? null : counted.reduce((sum, bytes) => sum + bytes, 0);
}
