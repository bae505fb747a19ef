export { observeAnswers } from './answers.ts';
export { inspectContainers } from './containers.ts';
export { observeEngine, sameEngine } from './identity.ts';
export { listContainers, type ContainerList } from './list.ts';
