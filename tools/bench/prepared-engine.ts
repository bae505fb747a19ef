import { once } from 'node:events';
import { createServer } from 'node:http';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

/** A running container as the prepared engine has it. */
export interface Prepared {
  /** 64 hex digits. */
  readonly id: string;
  readonly name: string;
  readonly pid: number;
  /** The UUID of its device. */
  readonly device: string;
}

interface Given {
  readonly socketPath: string;
  readonly containers: readonly Prepared[];
}

/**
 * An engine that has its answers ready, on a thread of its own: it stands for no engine's speed, only for what there is to
 * read. Each answer is about as long as a real one (an inspect 5 to 6 kB).
 */
export async function startPreparedEngine(given: Given): Promise<{ stop(): Promise<void> }> {
  const worker = new Worker(new URL(import.meta.url), { workerData: given });
  await once(worker, 'message');
  return { stop: async () => { await worker.terminate(); } };
}

/** What else an inspect holds that gpuctl does not ask for: about as much as Docker says of a container without volumes. */
const REST = Object.fromEntries(Array.from({ length: 90 }, (_, n) => [`SomethingElse${n}`, n % 3 === 0 ? { Name: `value-${n}`, Data: ['one', 'two'] } : 'sha256:0123456789abcdef']));

function inspection({ id, name, pid, device }: Prepared): string {
  return JSON.stringify({
    Id: id, Name: `/${name}`, Created: '2026-11-20T10:00:00.5Z', Image: `sha256:${id}`, Driver: 'overlay2', Platform: 'linux',
    State: { Status: 'running', Running: true, Paused: false, Restarting: false, OOMKilled: false, Dead: false, Pid: pid, ExitCode: 0, Error: '', StartedAt: '2026-11-20T10:00:01Z', FinishedAt: '0001-01-01T00:00:00Z' },
    Config: { Image: 'bb:1', Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'], Labels: { 'gpuctl.owner': `user-${name}` } },
    HostConfig: { Runtime: 'runc', Privileged: false, Devices: [], DeviceRequests: [{ Driver: '', Count: 0, DeviceIDs: [device], Capabilities: [['gpu']], Options: {} }], ...REST },
    Mounts: [],
  });
}

async function serve({ socketPath, containers }: Given): Promise<void> {
  const inspections = new Map(containers.map((each) => [each.id, inspection(each)]));
  const list = JSON.stringify(containers.map(({ id, name }) => ({ Id: id, Names: [`/${name}`], Image: 'bb:1', ImageID: `sha256:${id}`, Command: 'sleep 100000', Created: 1_700_000_000, Ports: [], Labels: { 'gpuctl.owner': `user-${name}` }, State: 'running', Status: 'Up 2 hours', HostConfig: { NetworkMode: 'none' }, NetworkSettings: { Networks: {} }, Mounts: [] })));
  const bodyFor = (path: string): string | undefined => {
    if (path === '/_ping') return 'OK';
    if (path === '/info') return '{"ID":"AAAA:BBBB","ServerVersion":"28.2.2","DefaultRuntime":"runc"}';
    return path === '/containers/json' ? list : inspections.get(path.slice('/containers/'.length, -'/json'.length));
  };
  const server = createServer(({ url = '' }, response) => {
    const body = bodyFor(url.replace(/^\/v[\d.]+/, '').replace(/\?.*$/, ''));
    response.writeHead(body === undefined ? 404 : 200, { 'api-version': '1.41', 'content-length': Buffer.byteLength(body ?? '{}') });
    response.end(body ?? '{}');
  });
  server.listen(socketPath);
  await once(server, 'listening');
  // A port between threads, not a window: it has no origin.
  parentPort?.postMessage('ready', []);
}

if (!isMainThread && workerData !== null) await serve(workerData as Given);
