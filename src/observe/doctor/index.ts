export { observeCgroups } from './cgroups.ts';
export { observeLock } from './lock.ts';
export { observeRotation } from './logrotate.ts';
export { observePlace } from './place.ts';
