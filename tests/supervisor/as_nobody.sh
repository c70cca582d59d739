#!/bin/sh
# Runs a test without privilege: as the user nobody if root runs the tests, as oneself otherwise. 77 means skipped.
set -eu
[ "$(id -u)" = 0 ] || exec "$@"
command -v setpriv >/dev/null || { echo "setpriv is not installed"; exit 77; }
setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$1" || { echo "nobody cannot reach $1"; exit 77; }
exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
