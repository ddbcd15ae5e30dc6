#!/usr/bin/env bash
# One node of the job's Ray cluster; srun runs it (see ray.sh). Arguments: what makes it the head or a worker.
# Ends Ray and removes its files when it is told to end.
set -euo pipefail

folder=$(mktemp -d /tmp/ray-XXXXXX) # of this job alone, on the node; short, because socket names end at 107 bytes
trap 'rm -rf "$folder"' EXIT

options=(
  --block
  --temp-dir="$folder"
  --num-cpus="$SLURM_CPUS_PER_TASK" # Ray would count the whole machine
  --num-gpus="${SLURM_GPUS_ON_NODE:-0}"
  --object-store-memory=100000000 # pixels never travel through Ray
  --min-worker-port=0 --max-worker-port=0 # whichever are free, as for the rest
  --dashboard-agent-listen-port=$((RAY_PORT + 1))
)
# Ray's client server, if its packages are there, would take port 10001 on every head.
if [[ " $* " == *" --head "* ]] && python -c 'import grpc' 2>/dev/null; then
  options+=(--ray-client-server-port=$((RAY_PORT + 2)))
fi

# When Ray is told to end, the command has ended: nothing to wait for, and Slurm's patience is 30 seconds.
export RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=0 RAY_USAGE_STATS_ENABLED=0
ray start "$@" "${options[@]}" &
ray=$!
trap 'kill "$ray" 2>/dev/null || true' TERM INT
# A trapped signal ends `wait` early, so wait until Ray is really gone.
until wait "$ray" && status=0 || status=$?; ! kill -0 "$ray" 2>/dev/null; do :; done
exit "$status"
