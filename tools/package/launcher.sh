#!/bin/sh
# gpuctl with the Node.js that it comes with; a run ends before code that is optimised while it runs pays for itself. What could make that Node.js load or write other files is not passed on.
unset NODE_OPTIONS NODE_PATH NODE_COMPILE_CACHE NODE_V8_COVERAGE NODE_REDIRECT_WARNINGS NODE_EXTRA_CA_CERTS
# Of what it makes little lives long: a young generation of one size. The daemon stays, and keeps small.
young='--min-semi-space-size=8 --max-semi-space-size=8'
if [ "${1-}" = daemon ]; then young=--min-semi-space-size=1; fi
exec /usr/lib/gpuctl/node --no-opt --no-maglev $young /usr/lib/gpuctl/start.cjs "$@"
