import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Sandbox } from './sandbox.ts';

/** What happens to requests whose method and path match; the first rule that matches counts. */
export interface ProxyRule {
  readonly method?: string;
  /** Matched against path and query, version prefix included. */
  readonly path: RegExp;
  /** Counts down; default: for ever. */
  times?: number;
  /** Runs before anything else; the request waits for it. */
  readonly before?: (path: string) => void | Promise<void>;
  /** Default: forward. `hang`: never answer. `close`: hang up without an answer. `raw`: these bytes, and hang up. */
  readonly answer?: { readonly status: number; readonly body?: string } | { readonly truncateAt: number } | { readonly raw: string } | 'close' | 'hang';
}

export interface EngineProxy {
  readonly socketPath: string;
  /** For `engine.host`. */
  readonly host: string;
  /** `METHOD path` of every request so far. */
  readonly requests: readonly string[];
  /** Rules now; may be changed at any time. */
  rules: ProxyRule[];
  /** Of containers of other ids the lists that pass through say nothing. Null: they are as the engine gave them. */
  shows: ((id: string) => boolean) | null;
  close(): Promise<void>;
}

/** Listens on a socket of the sandbox and passes everything to the engine behind `target`, except what the rules say. */
export async function engineProxy({ sandbox, target, rules = [] }: { readonly sandbox: Sandbox; readonly target: string; readonly rules?: ProxyRule[] }): Promise<EngineProxy> {
  const requests: string[] = [];
  const socketPath = join(sandbox.dir, `proxy-${Math.random().toString(36).slice(2, 8)}.sock`);
  const server = createServer((incoming, outgoing) => {
    requests.push(`${incoming.method} ${incoming.url}`);
    void handle({ incoming, outgoing, target, shows: proxy.shows, rule: takeRule(proxy.rules, incoming) });
  });
  const proxy: EngineProxy = {
    socketPath, host: `unix://${socketPath}`, requests, rules, shows: null,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  server.listen(socketPath);
  await once(server, 'listening');
  return proxy;
}

function takeRule(rules: readonly ProxyRule[], { method = '', url = '' }: IncomingMessage): ProxyRule | undefined {
  const rule = rules.find((some) => some.times !== 0 && (some.method ?? method) === method && some.path.test(url));
  if (rule?.times !== undefined) rule.times -= 1;
  return rule;
}

interface Exchange { readonly incoming: IncomingMessage; readonly outgoing: ServerResponse; readonly target: string; readonly shows: EngineProxy['shows']; readonly rule: ProxyRule | undefined }

async function handle({ incoming, outgoing, target, shows, rule }: Exchange): Promise<void> {
  await rule?.before?.(incoming.url ?? '');
  const answer = rule?.answer;
  if (answer === 'hang') return;
  if (answer === 'close') { incoming.socket.destroy(); return; }
  if (answer !== undefined && 'raw' in answer) { incoming.socket.end(answer.raw); return; }
  if (answer !== undefined && 'status' in answer) {
    outgoing.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body ?? '{"message":"injected"}');
    return;
  }
  forward({ incoming, outgoing, target, shows }, answer?.truncateAt);
}

function forward({ incoming, outgoing, target, shows }: Omit<Exchange, 'rule'>, truncateAt: number | undefined): void {
  const { method, url, headers } = incoming;
  const call = request({ socketPath: target, method, path: url, headers, agent: false }, (response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => { chunks.push(chunk); });
    response.on('end', () => void reply(outgoing, response, shown(Buffer.concat(chunks), /\/containers\/json/.test(url ?? '') ? shows : null), truncateAt));
  });
  call.on('error', () => { incoming.socket.destroy(); });
  incoming.pipe(call);
}

function shown(body: Buffer, shows: EngineProxy['shows']): Buffer {
  return shows === null ? body : Buffer.from(JSON.stringify((JSON.parse(body.toString('utf8')) as { readonly Id: string }[]).filter(({ Id }) => shows(Id))));
}

async function reply(outgoing: ServerResponse, response: IncomingMessage, body: Buffer, truncateAt: number | undefined): Promise<void> {
  const { 'transfer-encoding': _, ...headers } = response.headers;
  outgoing.writeHead(response.statusCode ?? 502, { ...headers, 'content-length': body.length });
  outgoing.write(body.subarray(0, truncateAt));
  if (truncateAt === undefined || truncateAt >= body.length) { outgoing.end(); return; }
  // Lets the first part leave before the line goes dead.
  await delay(20);
  outgoing.destroy();
}
