import { request as requestPlainly } from 'node:http';
import { request as requestSecurely } from 'node:https';
import { type AlertMessage, linesOf, titleOf } from './alert.ts';

/** A receiver of alerts over HTTP. `generic`: `{ schema, host, alerts, more }`; `slack`: `{ text }`, which Mattermost and others take as well. */
export interface WebhookSink {
  readonly kind: 'webhook';
  readonly url: string;
  readonly format: 'generic' | 'slack';
}

/** Posts the message once. Redirects are not followed. Null: taken (2xx); otherwise why not, without the URL, which may be a secret. */
export async function postWebhook({ url, format }: WebhookSink, message: AlertMessage, timeoutMs: number): Promise<string | null> {
  const request = new URL(url).protocol === 'https:' ? requestSecurely : requestPlainly;
  const body = JSON.stringify(format === 'slack' ? slackBody(message) : genericBody(message));
  const { promise, resolve } = Promise.withResolvers<string | null>();
  const call = request(url, { method: 'POST', agent: false, headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), 'user-agent': 'gpuctl' } });
  const late = setTimeout(() => { resolve(`no answer within ${timeoutMs} ms`); }, timeoutMs);
  call.on('error', (error) => { resolve(error.message); });
  call.on('response', ({ statusCode = 0 }) => { resolve(statusCode >= 200 && statusCode < 300 ? null : `HTTP ${statusCode}`); });
  call.end(body);
  try {
    return await promise;
  } finally {
    clearTimeout(late);
    call.destroy();
  }
}

function genericBody({ host, lines, more }: AlertMessage): object {
  return { schema: 1, host, alerts: lines.map((line) => JSON.parse(line) as unknown), more };
}

function slackBody(message: AlertMessage): object {
  return { text: [`*${slackText(titleOf(message))}*`, ...linesOf(message).map((line) => `• ${slackText(line)}`)].join('\n') };
}

/** Slack's three characters with a meaning (https://api.slack.com/reference/surfaces/formatting, 2026-11): `<!channel>` would ring everybody. */
function slackText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
