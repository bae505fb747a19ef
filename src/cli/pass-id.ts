import { ulid } from 'ulid';

/** Names a pass: a ULID, sortable by time. Nobody gains by guessing it, and the generator that ulid takes by itself costs 5 ms to load. */
export function newPassId(): string {
  return ulid(Date.now(), Math.random);
}
