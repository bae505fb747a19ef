#!/bin/sh
# gpuctl with the Node.js that it comes with; a run ends before code that is optimised while it runs pays for itself. What could make that Node.js load or write other files is not passed on.
unset NODE_OPTIONS NODE_PATH NODE_COMPILE_CACHE NODE_V8_COVERAGE NODE_REDIRECT_WARNINGS NODE_EXTRA_CA_CERTS
# It is over before its memory needs collecting, too; the daemon stays, and keeps small.
young=32
if [ "${1-}" = daemon ]; then young=1; fi
exec /usr/lib/gpuctl/node --no-opt --no-maglev --min-semi-space-size=$young /usr/lib/gpuctl/start.cjs "$@"
