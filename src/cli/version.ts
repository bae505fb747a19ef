/** Put in by the build from package.json. */
declare const GPUCTL_VERSION: string;

export const version: string = typeof GPUCTL_VERSION === 'string' ? GPUCTL_VERSION : '0.0.0-source';
