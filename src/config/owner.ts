import { posix } from 'node:path';
import type { InspectedContainer } from '../model/container.ts';
import { USER_NAME, WORD } from './names.ts';
import type { Config } from './types.ts';

export type OwnerSource = 'label' | 'devcontainer' | 'name' | 'home-mount';

/** Who a container says it belongs to, and what says so; both null: nothing does, or it is ambiguous. */
export type Owner =
  | { readonly owner: string; readonly source: OwnerSource }
  | { readonly owner: null; readonly source: null };

/** The name of a user of this host; null: there is none of that uid. */
export type UserNameOf = (uid: number) => string | null;

const nobody: Owner = { owner: null, source: null };
const TRUTHY: readonly string[] = ['true', '1', 'yes'];

/**
 * The owner: the first label of `labels.owner` that holds a user name, then the devcontainer's folder, then a container
 * name `<name>._.<uid>`, then a bind mount under /home. All of it is chosen by whoever created the container: it is good
 * for counting and tightening, not for authority.
 */
export function ownerOf(container: InspectedContainer, config: Config, userName: UserNameOf): Owner {
  const claims = [
    { source: 'label', owner: firstLabel(container, config.labels.owner, USER_NAME) },
    { source: 'devcontainer', owner: homeOwner(labelOf(container, DEVCONTAINER_LABEL) ?? '') },
    { source: 'name', owner: nameOwner(container.name, userName) },
    { source: 'home-mount', owner: mountOwner(container.bindSources) },
  ] as const;
  const claim = claims.find(({ owner }) => owner !== null);
  return claim === undefined || claim.owner === null ? nobody : { owner: claim.owner, source: claim.source };
}

/** The first label of `labels.type` that holds a well-formed type; null: unknown. */
export function typeOf(container: InspectedContainer, config: Config): string | null {
  return firstLabel(container, config.labels.type, WORD);
}

/** Any label of `labels.protected` is true. Honoured by every job. */
export function isProtected(container: InspectedContainer, config: Config): boolean {
  return isAnyTrue(container, config.labels.protected);
}

/** The label in which whoever creates a container may ask to keep it: an instant such as 2026-12-01T08:00:00Z. */
const KEEP_LABEL = 'gpuctl.keep_until';

const DEVCONTAINER_LABEL = 'devcontainer.local_folder';

/** Every label that says something of a container's owner, type or limits, or of the devices that it claims. */
export function labelsRead({ labels }: Config): readonly string[] {
  return [...Object.values(labels).flat(), DEVCONTAINER_LABEL, KEEP_LABEL];
}

/** Until when a label asks to keep it from the idle stop, milliseconds since 1970 UTC; null: none does, or not in a form that names an instant. It is bounded like any other wish. */
export function keepUntilOf(container: InspectedContainer): number | null {
  const text = labelOf(container, KEEP_LABEL) ?? '';
  const at = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2})$/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? null : at;
}

/**
 * Is it listed under `infrastructure`, by image or by name? A listed one needs no label besides, and a label alone is not
 * honoured: anybody can label a container. An image without tag and digest means all of its tags.
 */
export function isInfrastructure(container: InspectedContainer, config: Config): boolean {
  const { images, names } = config.infrastructure;
  return names.includes(container.name) || images.some((image) => isImage(container.image, image));
}

function isImage(image: string, listed: string): boolean {
  if (image === listed) return true;
  const tagged = /[:@]/.test(listed.slice(listed.lastIndexOf('/') + 1));
  return !tagged && (image.startsWith(`${listed}:`) || image.startsWith(`${listed}@`)) && !image.slice(listed.length).includes('/');
}

/** Is any of these labels true on it? */
export function isAnyTrue(container: InspectedContainer, labels: readonly string[]): boolean {
  return labels.some((label) => TRUTHY.includes((labelOf(container, label) ?? '').trim().toLowerCase()));
}

function firstLabel(container: InspectedContainer, labels: readonly string[], form: RegExp): string | null {
  return labels.map((label) => labelOf(container, label) ?? '').find((value) => form.test(value)) ?? null;
}

/** Only what was really set: a label named `constructor` is not what every object has. */
function labelOf({ labels }: InspectedContainer, name: string): string | undefined {
  return Object.hasOwn(labels, name) ? labels[name] : undefined;
}

function nameOwner(name: string, userName: UserNameOf): string | null {
  const uid = /\._\.(\d{1,10})$/.exec(name)?.[1];
  const owner = uid === undefined ? null : userName(Number(uid));
  return owner !== null && USER_NAME.test(owner) ? owner : null;
}

/** The one user in whose home the mounts lie; null: none, or several. */
function mountOwner(sources: readonly string[]): string | null {
  const owners = new Set(sources.map(homeOwner).filter((owner) => owner !== null));
  const [owner = null] = owners;
  return owners.size === 1 ? owner : null;
}

function homeOwner(path: string): string | null {
  if (!path.startsWith('/')) return null;
  const user = /^\/home\/([^/]+)(?:\/|$)/.exec(posix.normalize(path))?.[1] ?? '';
  return USER_NAME.test(user) ? user : null;
}
