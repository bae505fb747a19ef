import { Agent, request, type IncomingHttpHeaders, type IncomingMessage, type RequestOptions } from 'node:http';
import { EngineCallError } from './engine-error.ts';
import { type LongList, openLongList } from './long-list.ts';

/** Beyond this an answer is not an answer. */
const MAX_BYTES = 64 * 1024 * 1024;
/** A list of 1,000 containers with long labels is about 10 MB; of a longer one not everything is kept. */
const LONG_LIST_BYTES = 16 * 1024 * 1024;

/** As many as are asked at a time. */
const MAX_CONNECTIONS = 8;

/** One call over a local socket, a GET unless it says otherwise. `timeoutMs` is the deadline from connecting to the last byte. */
export interface Get {
  readonly socketPath: string;
  readonly path: string;
  readonly timeoutMs: number;
  readonly method?: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** A tar archive. */
  readonly archive?: Buffer;
  /** How long its answer may be; 64 MiB where it is not given. */
  readonly maxBytes?: number;
  /** The answer is a list of containers. Where it is too long to be kept, what nobody reads of it is left out. */
  readonly isContainerList?: boolean;
  /** Where connections are taken from and left. Not given: the call makes its own and closes it. */
  readonly pool?: Pool;
}

/** Connections that are kept from one question to the next. Those that wait for one keep no process alive. */
export interface Pool {
  agent: Agent;
}

export function openPool(): Pool {
  return { agent: new Agent({ keepAlive: true, maxSockets: MAX_CONNECTIONS, maxFreeSockets: MAX_CONNECTIONS }) };
}

/** From now on only new connections are used; one that still waits for its answer is closed after it. */
export function renewPool(pool: Pool): void {
  const { agent } = pool;
  pool.agent = openPool().agent;
  agent.maxFreeSockets = 0;
  for (const socket of Object.values(agent.freeSockets).flat()) socket?.destroy();
}

/** A whole answer, whatever its status. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/**
 * Asks once. The connection is destroyed with the answer or at the deadline, or left to its pool, so that nothing keeps the
 * process alive. Never follows a redirect. Throws EngineCallError for everything but a whole answer of bounded size.
 */
export async function get(call: Get): Promise<Answer> {
  const asked = performance.now();
  try {
    return await askOnce(call);
  } catch (error) {
    if (!(error instanceof StaleConnection)) throw error;
    const { pool: _, ...alone } = call;
    return askOnce({ ...alone, timeoutMs: Math.max(0, call.timeoutMs - (performance.now() - asked)) });
  }
}

/** The other side closed a kept connection as it was taken into use: nothing was asked, so it is asked again on a new one. */
class StaleConnection extends Error {}

async function askOnce({ socketPath, path, timeoutMs, method = 'GET', archive, pool, maxBytes = MAX_BYTES, isContainerList = false }: Get): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const headers = { host: 'localhost', ...(archive === undefined ? {} : { 'content-type': 'application/x-tar', 'content-length': archive.length }) };
  // Without a server name given, node:http works out one, which costs 5 ms at the first call and is of use to TLS alone.
  const call = request({ socketPath, path, method, agent: pool?.agent ?? false, servername: '', headers } as RequestOptions);
  const late = setTimeout(() => { reject(new EngineCallError('timeout', `no whole answer within ${timeoutMs} ms`)); }, timeoutMs);
  call.on('error', (error) => { reject(call.reusedSocket && isLost(error) ? new StaleConnection() : error); });
  call.on('response', (response) => { readWhole(response, { maxBytes, longList: isContainerList && response.statusCode === 200 ? openLongList : null }, { resolve, reject }); });
  call.end(archive);
  try {
    return await promise;
  } catch (error) {
    call.destroy();
    throw error instanceof EngineCallError || error instanceof StaleConnection ? error : explain(error, socketPath);
  } finally {
    clearTimeout(late);
    if (pool === undefined) call.destroy();
  }
}

/** A body that ends before its announced end raises an error by itself, as long as somebody listens for it. */
function readWhole(response: IncomingMessage, { maxBytes, longList }: Reading, { resolve, reject }: Promised): void {
  const chunks: Buffer[] = [];
  let size = 0;
  let long: LongList | null = null;
  const orReject = (step: () => void): void => {
    try {
      step();
    } catch (error) {
      reject(error as Error);
    }
  };
  response.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (long !== null) return orReject(() => { long?.take(chunk); });
    chunks.push(chunk);
    if (size <= (longList === null ? maxBytes : LONG_LIST_BYTES)) return undefined;
    if (longList === null) return reject(new EngineCallError('malformed', `the answer is longer than ${maxBytes} bytes`));
    const opened = (long = longList());
    return orReject(() => { for (const each of chunks.splice(0)) opened.take(each); });
  });
  response.on('error', reject);
  response.on('end', () => { orReject(() => { resolve({ status: response.statusCode ?? 0, headers: response.headers, body: long === null ? Buffer.concat(chunks).toString('utf8') : long.end() }); }); });
}

interface Reading {
  readonly maxBytes: number;
  /** Null: it is no list of containers. */
  readonly longList: (() => LongList) | null;
}

interface Promised {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

/** As the loss of a kept connection shows. What is asked over those can be asked twice. */
function isLost(error: Error): boolean {
  return 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
}

function explain(error: unknown, socketPath: string): EngineCallError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const detail = error instanceof Error ? error.message : String(error);
  switch (code) {
    case 'ENOENT': return new EngineCallError('not-installed', `there is no socket ${socketPath}`);
    case 'ECONNREFUSED': return new EngineCallError('refused', `nothing listens at ${socketPath}`);
    case 'EACCES':
    case 'EPERM': return new EngineCallError('not-permitted', `this user may not use ${socketPath}`);
    case 'ECONNRESET':
    case 'EPIPE': return new EngineCallError('malformed', 'the answer was cut off');
    default: return new EngineCallError(code.startsWith('HPE_') ? 'malformed' : 'error', detail);
  }
}
