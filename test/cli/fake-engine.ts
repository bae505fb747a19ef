import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Host } from '../hostsim/host.ts';

/** A container as a test describes it; what is left out is what a running container without a GPU has. */
export interface FakeContainer {
  /** 64 hex digits. */
  readonly id: string;
  readonly name?: string;
  state?: string;
  /** `DeviceIDs` of one device request. */
  readonly gpus?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly pid?: number;
}

/** How the engine answers: as an engine does, with 500, half of each body, something else, or never. */
export type Mood = 'well' | 'error' | 'truncated' | 'garbage' | 'hung';

/** A tiny engine on a socket in the host's folder; everything may be changed while it runs. */
export interface FakeEngine {
  readonly socketPath: string;
  id: string;
  mood: Mood;
  podman: boolean;
  containers: FakeContainer[];
  /** Paths asked for so far, without the version. */
  readonly asked: readonly string[];
}

/** A full id that ends in `text`. */
export function idOf(text: string): string {
  return text.padStart(64, '0');
}

/** Starts one for a test and lets the host's configuration point to it. It ends with the test. */
export async function useEngine(host: Host, containers: FakeContainer[] = []): Promise<FakeEngine> {
  const asked: string[] = [];
  const socketPath = join(host.dir, 'fake.sock');
  const engine: FakeEngine = { socketPath, id: 'AAAA:BBBB', mood: 'well', podman: false, containers, asked };
  const server = createServer(({ url = '' }, response) => {
    const path = url.replace(/^\/v[\d.]+/, '').replace(/\?.*$/, '');
    asked.push(path);
    answer(engine, path, response);
  });
  server.listen(socketPath);
  await once(server, 'listening');
  onTestFinished(() => { server.closeAllConnections(); server.close(); });
  host.configure({ engine: { host: `unix://${socketPath}`, timeout: '1s' } });
  return engine;
}

function answer(engine: FakeEngine, path: string, response: ServerResponse): void {
  if (engine.mood === 'hung') return;
  const { status, body } = engine.mood === 'error' ? { status: 500, body: '{"message":"out of cheese"}' } : bodyFor(engine, path);
  const text = engine.mood === 'garbage' ? '<html>' : body;
  response.writeHead(status, { 'api-version': '1.41', ...(engine.podman && { 'libpod-api-version': '4.3.1' }), 'content-length': Buffer.byteLength(text) });
  // Of an empty body nothing can be cut.
  if (engine.mood !== 'truncated' || path === '/_ping') { response.end(text); return; }
  response.write(text.slice(0, 1), () => { response.destroy(); });
}

function bodyFor({ id, containers }: FakeEngine, path: string): { readonly status: number; readonly body: string } {
  const json = (value: unknown): { readonly status: number; readonly body: string } => ({ status: 200, body: JSON.stringify(value) });
  if (path === '/_ping') return { status: 200, body: 'OK' };
  if (path === '/info') return json({ ID: id, ServerVersion: '20.10.24', DefaultRuntime: 'runc' });
  if (path === '/containers/json') return json(containers.map(({ id: Id, name = 'c', state = 'running' }) => ({ Id, Names: [`/${name}`], State: state })));
  const wanted = /^\/containers\/([0-9a-f]{64})\/json$/.exec(path)?.[1] ?? '';
  const found = containers.find((container) => container.id === wanted);
  return found === undefined ? { status: 404, body: JSON.stringify({ message: `No such container: ${wanted}` }) } : json(inspection(found));
}

function inspection({ id, name = 'c', state = 'running', gpus = [], labels = {}, pid = 0 }: FakeContainer): unknown {
  const live = state === 'running' || state === 'paused';
  return {
    Id: id, Name: `/${name}`, Created: '2026-11-20T10:00:00.5Z',
    State: { Status: state, Running: live, Pid: pid, StartedAt: state === 'created' ? '0001-01-01T00:00:00Z' : '2026-11-20T10:00:01Z', FinishedAt: live ? '0001-01-01T00:00:00Z' : '2026-11-20T11:00:00Z' },
    Config: { Image: 'bb:1', Env: [], Labels: labels },
    HostConfig: { Runtime: 'runc', Privileged: false, Devices: [], DeviceRequests: gpus.length === 0 ? [] : [{ Driver: '', Count: 0, DeviceIDs: gpus, Capabilities: [['gpu']] }] },
    Mounts: [],
  };
}
