#!/bin/sh
# Called by TuneD with start, stop or verify; by hand likewise. Asks nothing, and may be called twice:
# a second start keeps the values saved by the first, a second stop finds nothing to give back.
#
# /etc/default/deja-tune may set
#   DEJA          the program (deja)
#   DEJA_CONFIG   the appliance's config, whose [cpu] names its cores (/etc/deja/deja.toml)
#   DEJA_STATE    where what was there is saved (/var/lib/deja-tune)
#   DEJA_EXCEPT   knobs to leave alone: "smt,irqbalance"
set -eu

settings=${DEJA_SETTINGS:-/etc/default/deja-tune}
if [ -r "$settings" ]; then
  # shellcheck source=/dev/null
  . "$settings"
fi
deja=${DEJA:-deja}
config=${DEJA_CONFIG:-/etc/deja/deja.toml}
state=${DEJA_STATE:-/var/lib/deja-tune}
action=${1:-}

set --
if [ -r "$config" ]; then
  set -- "$@" --config "$config"
fi
if [ -n "${DEJA_EXCEPT:-}" ]; then
  set -- "$@" --except "$DEJA_EXCEPT"
fi
if [ -n "${DEJA_ROOT:-}" ]; then
  set -- "$@" --root "$DEJA_ROOT"
fi

case $action in
  start)
    exec "$deja" tune apply --yes --state "$state" "$@"
    ;;
  stop)
    # Everything that is saved, whatever the config and the exceptions are by now.
    exec "$deja" tune revert --state "$state" ${DEJA_ROOT:+--root "$DEJA_ROOT"}
    ;;
  verify)
    exec "$deja" tune check "$@"
    ;;
  *)
    echo "usage: $0 start|stop|verify" >&2
    exit 2
    ;;
esac
