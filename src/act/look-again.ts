import { type ContainerState } from '../model/container.ts';

/** A container as it is this instant. *Unknown*: the engine did not say. */
export type ContainerLook =
  | { readonly state: 'gone' }
  | { readonly state: 'unknown'; readonly why: string }
  | { readonly state: 'there'; readonly container: { readonly state: ContainerState; readonly startedAt: number | null } };
