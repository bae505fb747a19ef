/** Options that every command takes. */
export interface Globals {
  readonly json?: boolean;
  readonly events?: boolean;
  readonly config?: string;
  readonly dryRun?: boolean;
  readonly overBudget?: boolean;
  readonly yes?: boolean;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
  /** False: `--no-color`. */
  readonly color?: boolean;
}
