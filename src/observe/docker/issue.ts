import { getDotPath, type BaseIssue } from 'valibot';

const MAX_LENGTH = 200;

/** Where an answer is not of the expected shape, in one bounded text: the path may hold a user's label, the message a user's value. */
export function describeIssue(issue: BaseIssue<unknown>): string {
  return `${getDotPath(issue) ?? 'body'}: ${issue.message}`.slice(0, MAX_LENGTH);
}
