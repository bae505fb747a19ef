export { observeAnswers } from './answers.ts';
export { inspectContainers, type InspectRequest } from './containers.ts';
export { observeEngine, sameEngine, type EngineFacts } from './identity.ts';
export { listContainers, type ContainerList, type ListedContainer } from './list.ts';
