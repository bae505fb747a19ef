import type { FailureCode } from '../model/observation.ts';

/**
 * A call that got no usable answer. It never leaves callout/: engine.ts turns it into a value. It has a file of its own so
 * that engine.ts can name it without loading node:http at start-up.
 */
export class EngineCallError extends Error {
  readonly code: FailureCode;
  /** Null: no whole HTTP answer came. */
  readonly status: number | null;

  constructor(code: FailureCode, why: string, status: number | null = null) {
    super(why);
    this.name = 'EngineCallError';
    this.code = code;
    this.status = status;
  }
}
