#!/usr/bin/env bash
# One node of the job's Ray cluster; srun runs it (see ray.sh). Arguments: what makes it the head or a worker.
# Ends Ray and removes its files when it is told to end.
set -euo pipefail

# Jobs that were killed outright left their folders: nobody holds the lock any more.
for left in /tmp/seg-??????; do
  [[ -O $left && ! -L $left && -e $left/locked ]] || continue
  ( # another job's node may be at it too
    exec 8<"$left" && flock --nonblock 8 || exit 0
    rm -rf "$left/ray"
    rm -f "$left/locked"
    rmdir "$left" || touch "$left/locked" # a dying Ray has written once more: the next job's turn
  ) 2>/dev/null || true
done

# Of this job alone, on the node. Short, because names of sockets end at 107 bytes; and Ray opens its own folder to everybody.
folder=$(mktemp -d /tmp/seg-XXXXXX)
clear_up() { rm -rf "$folder/ray" "$folder"; } # the sign that it is ours last: it may be ended in the middle
trap clear_up EXIT
exec 9<"$folder" # for as long as this script or its Ray lives
flock 9
touch "$folder/locked"

options=(
  --block
  --temp-dir="$folder/ray"
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
told=
trap 'told=yes; kill "$ray" 2>/dev/null || true' TERM INT
# A trapped signal ends `wait` early, so wait until Ray is really gone.
until wait "$ray" && status=0 || status=$?; ! kill -0 "$ray" 2>/dev/null; do :; done
[[ -z $told ]] || exit 0

# With --no-kill a job goes on when it loses a node. If that was the first one, nobody is left to notice: give the job back.
head=${1#--address=} # host:port on all other nodes
if [[ $1 == --address=* ]] && ! (exec 3<>"/dev/tcp/${head%:*}/${head##*:}") 2>/dev/null; then
  clear_up # before Slurm ends this script
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
