#!/usr/bin/env bash
# One host of several: begins the run, or goes on with it after a restart.
# HOSTS: all hosts, separated by commas, the chief first. INDEX: which of them this is, from 0. PORT: free on all.
# DATA, RUN: folders that all hosts share. Arguments: settings of `unet-tf train`.
set -euo pipefail
: "${HOSTS:?names all hosts, separated by commas}" "${INDEX:?is the number of this host, from 0}"
: "${DATA:?is the data folder}" "${RUN:?is the folder of the run}" "${PORT:=2222}"

workers=$(printf '"%s"\n' ${HOSTS//,/ } | sed "s/\"$/:$PORT\"/" | paste -sd,)
export TF_CONFIG="{\"cluster\": {\"worker\": [$workers]}, \"task\": {\"type\": \"worker\", \"index\": $INDEX}}"
if [ -f "$RUN/config.toml" ]; then
  exec unet-tf train --resume "$RUN"
fi
exec unet-tf train "$DATA" --out "$RUN" "$@"
