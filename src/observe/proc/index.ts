export { containerIdsIn } from './container-ids.ts';
export { readEnviron, type Unanswered } from './environ.ts';
export { readProcess } from './process.ts';
export { lookAtProcesses, observeListedProcesses, withShims, type ListedProcesses, type ProcLook } from './view.ts';
