import type Docker from 'dockerode';
import { ExitCode, GpuctlError } from '../model/errors.ts';
import type { FailureCode } from '../model/observation.ts';
import { EngineCallError } from './engine-error.ts';
import type { Answer, Get, Pool } from './engine-http.ts';

/** 1.40 (Docker 19.03) brought DeviceRequests; below it an inspect could hide a claim. */
const OLDEST_API = '1.40';
/** The newest whose answers were read when this was written (Docker 29.0); a later engine is asked in this one. */
const NEWEST_API = '1.52';

/** Why a call gave nothing. `status`: of a whole HTTP answer, else null. `why` may quote the engine: it is data. */
export interface EngineProblem {
  readonly ok: false;
  readonly code: FailureCode;
  readonly status: number | null;
  readonly why: string;
}

/** What the engine answered. A body is only known to be JSON: its reader must check every field. */
export type EngineReply<T = unknown> = { readonly ok: true; readonly value: T } | EngineProblem;

/** From the headers of `_ping`. `api`: the version that the calls are made in. */
export interface EngineVersion {
  readonly kind: 'docker' | 'podman';
  readonly api: string;
}

/** The few questions that gpuctl asks an engine. None throws, and none outlives its deadline. */
export interface EngineClient {
  /** The socket, as given: `unix:///…`. */
  readonly host: string;
  version(): Promise<EngineReply<EngineVersion>>;
  info(): Promise<EngineReply>;
  /** Every container, whatever its state. */
  list(): Promise<EngineReply>;
  /** One container by its full id of 64 hex digits. */
  inspect(id: string): Promise<EngineReply>;
}

/** How a notice gets into a container. */
export interface ArchiveClient {
  /** Unpacks a tar archive in an existing folder of a container. A folder in the archive's place of a file is refused. */
  putArchive(id: string, folder: string, tar: Buffer): Promise<EngineReply<null>>;
}

/** The two ways to change a container. A status other than 204 and 200 is a problem that carries it: 304 has stopped already, 404 is gone, 409 conflicts. */
export interface ContainerCommands {
  /** Answers when the container has stopped; its deadline is the grace, in seconds, and that of a call. */
  stop(id: string, graceS: number): Promise<EngineReply<null>>;
  /** Never by force, never with its volumes. */
  remove(id: string): Promise<EngineReply<null>>;
}

/** `host`: `unix:///path`. `timeoutMs`: the deadline of each call. */
export interface EngineAddress {
  readonly host: string;
  readonly timeoutMs: number;
}

/**
 * A client of the engine behind a local socket; nothing is loaded or connected before the first question. Throws
 * GpuctlError `engine-not-local` for any other kind of host: gpuctl acts on this machine's processes only.
 */
export function openEngine({ host, timeoutMs }: EngineAddress): EngineClient & ArchiveClient & ContainerCommands {
  const socketPath = localSocket(host);
  let connection: Promise<EngineReply<Connection>> | null = null;
  const connected = async (): Promise<EngineReply<Connection>> => {
    connection ??= settle(() => connect({ socketPath, timeoutMs }));
    const reply = await connection;
    if (!reply.ok) connection = null;
    return reply;
  };
  const ask = async (question: (docker: Docker) => Promise<unknown>): Promise<EngineReply> => {
    const reply = await connected();
    return reply.ok ? settle(() => question(reply.value.pooled)) : reply;
  };
  const tell = async (command: Command): Promise<EngineReply<null>> => {
    const reply = await connected();
    return reply.ok ? settle(() => send({ socketPath, timeoutMs: timeoutMs + command.graceS * 1000 }, `/v${reply.value.version.api}${command.path}`, command.method)) : reply;
  };
  return {
    host,
    stop: (id, graceS) => tell({ method: 'POST', path: `/containers/${fullId(id)}/stop?t=${Math.ceil(graceS)}`, graceS }),
    remove: (id) => tell({ method: 'DELETE', path: `/containers/${fullId(id)}?force=false&v=false`, graceS: 0 }),
    version: async () => {
      const reply = await connected();
      return reply.ok ? { ok: true, value: reply.value.version } : reply;
    },
    info: async () => {
      const reply = await connected();
      return reply.ok ? settle(() => identify(reply.value)) : reply;
    },
    list: () => ask((docker) => docker.listContainers({ all: true })),
    inspect: (id) => ask((docker) => docker.getContainer(fullId(id)).inspect()),
    putArchive: async (id, folder, tar) => {
      const reply = await connected();
      return reply.ok ? settle(() => upload({ socketPath, timeoutMs }, `/v${reply.value.version.api}/containers/${fullId(id)}/archive?noOverwriteDirNonDir=1&path=${encodeURIComponent(folder)}`, tar)) : reply;
    },
  };
}

interface Connection {
  readonly version: EngineVersion;
  /** Each question on a connection of its own. */
  readonly docker: Docker;
  /** Questions on connections of the pool. */
  readonly pooled: Docker;
  readonly pool: Pool;
  readonly renewPool: (pool: Pool) => void;
}

/**
 * Who answers on the socket now: asked on a new connection, and so is everything after it. A kept connection would go on
 * to the engine that was there before, and its answers would pass for those of the one that took over.
 */
function identify({ docker, pool, renewPool }: Connection): Promise<unknown> {
  renewPool(pool);
  return docker.info();
}

interface Socket {
  readonly socketPath: string;
  readonly timeoutMs: number;
}

function localSocket(host: string): string {
  const path = host.startsWith('unix://') ? host.slice('unix://'.length) : '';
  if (path.startsWith('/')) return path;
  throw new GpuctlError(`the engine ${JSON.stringify(host)} is not a local socket`, {
    code: 'engine-not-local',
    exitCode: ExitCode.usage,
    hint: 'set engine.host to unix:///path/of/the/socket; gpuctl looks after the machine that it runs on',
  });
}

/** An id goes into a request's path, so anything else is a bug of the caller. */
function fullId(id: string): string {
  if (!/^[0-9a-f]{64}$/.test(id)) throw new TypeError(`not a full container id: ${JSON.stringify(id)}`);
  return id;
}

async function settle<T>(work: () => Promise<T>): Promise<EngineReply<T>> {
  try {
    return { ok: true, value: await work() };
  } catch (error) {
    if (!(error instanceof EngineCallError)) throw error;
    return { ok: false, code: error.code, status: error.status, why: error.message };
  }
}

/** dockerode is loaded here, not at start-up: most commands need no engine. `_ping` is asked directly, for dockerode does not hand out headers. */
async function connect(socket: Socket): Promise<Connection> {
  const [{ default: Dockerode }, http] = await Promise.all([import('dockerode'), import('./engine-http.ts')]);
  const answer = await http.get({ ...socket, path: '/_ping' });
  const version = readVersion(answer);
  const pool = http.openPool();
  const prefix = `/v${version.api}`;
  const client = (ask: Ask): Docker => new Dockerode({ modem: modemFor(ask) } as Docker.DockerOptions);
  return {
    version, pool, renewPool: http.renewPool,
    docker: client((path) => http.get({ ...socket, path: prefix + path })),
    pooled: client((path) => http.get({ ...socket, path: prefix + path, pool, ...boundsOf(path) })),
  };
}

/** An inspect of more than this is made to be in the way: eight are asked at a time, and each is a text and a tree besides. */
const MAX_INSPECT_BYTES = 8 * 1024 * 1024;

/** The list may be long, as it has every container's labels in it. */
function boundsOf(path: string): Pick<Get, 'maxBytes' | 'isContainerList'> {
  return path.startsWith('/containers/json') ? { isContainerList: true } : { maxBytes: MAX_INSPECT_BYTES };
}

interface Command {
  readonly method: 'POST' | 'DELETE';
  readonly path: string;
  readonly graceS: number;
}

/** Told directly, since each has a deadline of its own. */
async function send(socket: Socket, path: string, method: Command['method']): Promise<null> {
  const http = await import('./engine-http.ts');
  const answer = await http.get({ ...socket, path, method });
  if (answer.status !== 204) refuseBadStatus(answer);
  return null;
}

/** Asked directly: dockerode would need its own transport for a body. */
async function upload(socket: Socket, path: string, archive: Buffer): Promise<null> {
  const http = await import('./engine-http.ts');
  refuseBadStatus(await http.get({ ...socket, path, method: 'PUT', archive }));
  return null;
}

function readVersion(ping: Answer): EngineVersion {
  refuseBadStatus(ping);
  const offered = ping.headers['api-version'];
  if (typeof offered !== 'string' || !/^\d{1,3}\.\d{1,3}$/.test(offered)) throw new EngineCallError('malformed', 'it does not say which API version it speaks');
  if (compareVersions(offered, OLDEST_API) < 0) throw new EngineCallError('version-mismatch', `it speaks API ${offered}; ${OLDEST_API} (Docker 19.03) is the oldest that tells of GPUs`);
  const api = compareVersions(offered, NEWEST_API) < 0 ? offered : NEWEST_API;
  return { kind: ping.headers['libpod-api-version'] === undefined ? 'docker' : 'podman', api };
}

function compareVersions(a: string, b: string): number {
  const [[aMajor = 0, aMinor = 0], [bMajor = 0, bMinor = 0]] = [a.split('.').map(Number), b.split('.').map(Number)];
  return aMajor - bMajor || aMinor - bMinor;
}

/** What dockerode hands to its transport, as far as the questions above use it. */
interface Dial {
  readonly path: string;
  readonly method: string;
  readonly options?: Readonly<Record<string, unknown>>;
}

type Ask = (path: string) => Promise<Answer>;

/**
 * The transport under dockerode, in place of its own docker-modem, which never answers when a body is cut, takes
 * garbage for an answer, has no limit of size, follows redirects to other hosts, and lets DOCKER_HOST override a socket.
 */
function modemFor(ask: Ask): object {
  const dial = (call: Dial, done: (error: unknown, value?: unknown) => void): void => {
    ask(pathOf(call)).then(readBody).then((value) => { done(null, value); }, done);
  };
  return { Promise, dial };
}

/** dockerode ends a path with `?` where its options are the query. */
function pathOf({ path, method, options = {} }: Dial): string {
  if (method !== 'GET') throw new TypeError(`this client only reads, but was asked to ${method}`);
  const asked = Object.entries(options);
  return asked.length === 0 ? path.replace(/\?$/, '') : path + new URLSearchParams(asked.map(([key, value]) => [key, String(value)])).toString();
}

function readBody(answer: Answer): unknown {
  refuseBadStatus(answer);
  try {
    return JSON.parse(answer.body);
  } catch {
    throw new EngineCallError('malformed', 'the answer is not JSON');
  }
}

function refuseBadStatus({ status, body }: Answer): void {
  if (status === 200) return;
  const code = status === 401 || status === 403 ? 'not-permitted' : 'error';
  throw new EngineCallError(code, `HTTP ${status}: ${messageIn(body)}`, status);
}

function messageIn(body: string): string {
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed === 'object' && parsed !== null && 'message' in parsed && typeof parsed.message === 'string') return parsed.message.slice(0, 200);
  } catch { /* not JSON: quoted as it is */ }
  return body.trim().slice(0, 200);
}
