#!/bin/sh
# Installs and builds what is missing, then shows the main job: gpuctl health-check on this host if it has nvidia-smi and
# an engine, otherwise a demonstration on a simulated host.
cd -- "$(dirname -- "$0")/.." || exit 1
sh tools/setup.sh runtime || exit 1
PATH=$PWD/node_modules/.bin:$PATH
export PATH
npm run --silent build || exit 1
socket=${DOCKER_HOST:-unix:///var/run/docker.sock}
if command -v nvidia-smi >/dev/null && [ -S "${socket#unix://}" ]; then exec bin/gpuctl health-check; fi
if [ "$(id -u)" = 0 ]; then sh tools/setup.sh test || exit 1; fi
exec node test/hostsim/demo.ts
