# shellcheck shell=bash
# Sourced by the batch scripts. It offers two functions:
#   start_ray      start Ray on all nodes of the job; sets ray_address and ray_workers
#   run COMMAND    run the command; when the job's time is nearly up, stop it and put the job back into the queue
# What is started here is ended here, by number: other jobs of the same user on the same node keep their Ray.
set -euo pipefail

# The environment in the checkout: python -m venv .venv && .venv/bin/pip install . Put `module load` or another environment here.
# shellcheck source=/dev/null
source "$SLURM_SUBMIT_DIR/.venv/bin/activate"

node_workers=${SLURM_GPUS_ON_NODE:-$SLURM_CPUS_PER_TASK} # one a GPU, or else one a core
steps=() # srun's process numbers, the head's first
driver=
requeue=

start_ray() {
  make_token
  # Two jobs on a node must not meet: ports of their own, below those that the system hands out.
  export RAY_PORT=$((10000 + SLURM_JOB_ID % 2000 * 10))
  local ip
  ip=$(own_address)
  ray_address=$ip:$RAY_PORT
  # shellcheck disable=SC2034 # for the batch scripts
  ray_workers=$((SLURM_JOB_NUM_NODES * node_workers))

  # The batch script runs on the first node, which becomes the head, and works too.
  start_nodes 1 --nodelist="$SLURMD_NODENAME" -- --head --port="$RAY_PORT" --node-ip-address="$ip" --include-dashboard=false
  until (exec 3<>"/dev/tcp/$ip/$RAY_PORT") 2>/dev/null; do
    kill -0 "${steps[0]}" 2>/dev/null || { echo "error: Ray did not start on $SLURMD_NODENAME" >&2; exit 1; }
    sleep 1
  done
  if ((SLURM_JOB_NUM_NODES > 1)); then
    start_nodes $((SLURM_JOB_NUM_NODES - 1)) --exclude="$SLURMD_NODENAME" -- --address="$ray_address"
  fi
  timeout 300 python - "$ray_address" "$SLURM_JOB_NUM_NODES" <<'PYTHON' || { echo "error: not all nodes joined Ray" >&2; exit 1; }
import sys, time, ray
ray.init(sys.argv[1], logging_level="ERROR", log_to_driver=False)
while sum(node["Alive"] for node in ray.nodes()) < int(sys.argv[2]):
    time.sleep(1)
PYTHON
}

# Only who can read this file can use the cluster. The submit folder must be shared by the nodes, as for the results.
make_token() {
  export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$SLURM_SUBMIT_DIR/.ray-token-$SLURM_JOB_ID"
  rm -f "$RAY_AUTH_TOKEN_PATH" # of this job's earlier life, or somebody else's who would like to read ours
  (umask 077 && set -o noclobber && head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$RAY_AUTH_TOKEN_PATH")
}

# The address by which the other nodes reach this one. Alone, it need not be reached: then nothing listens on a network.
own_address() {
  ((SLURM_JOB_NUM_NODES > 1)) || { echo 127.0.0.1; return; }
  local last
  last=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | tail -n 1)
  # Opening a socket of this kind sends nothing, but chooses the network.
  scontrol --oneliner show node "$last" | python -c '
import re, socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
    one.connect((re.search(r"NodeAddr=(\S+)", sys.stdin.read())[1], 9))
    print(one.getsockname()[0])'
}

# start_nodes COUNT SRUN_OPTION -- RAY_OPTION...
start_nodes() {
  local count=$1 where=$2
  shift 3
  # srun has not taken --cpus-per-task from sbatch since Slurm 22.05.
  srun --no-kill --nodes="$count" --ntasks="$count" "$where" --cpus-per-task="$SLURM_CPUS_PER_TASK" \
    bash "$SLURM_SUBMIT_DIR/cluster/slurm/ray-node.sh" "$@" >&2 &
  steps+=($!)
}

run() {
  local status=0 started=$SECONDS
  attempt "$@" || status=$?
  # Status 3: the result belongs to another run. After a restart that is the job's first life, for up to a minute.
  while ((status == 3 && ${SLURM_RESTART_COUNT:-0} > 0 && SECONDS - started < 120)) && [[ -z $requeue ]]; do
    sleep 10
    status=0
    attempt "$@" || status=$?
  done
  [[ -z $requeue || $status -eq 0 ]] || come_back
  return "$status"
}

# The same command then goes on from where it was; but a job whose time is too short for anything would come back for ever.
come_back() {
  if ((${SLURM_RESTART_COUNT:-0} < 20)); then
    scontrol requeue "$SLURM_JOB_ID"
  else
    echo "error: not done after 20 restarts (try a longer --time; the same command goes on from here)" >&2
  fi
}

attempt() {
  # In the background, because bash runs a trap only when the foreground command has ended.
  "$@" &
  driver=$!
  local status=0
  # A trapped signal ends `wait` early, so wait until the command is really gone.
  until { wait "$driver" && status=0 || status=$?; } && ! kill -0 "$driver" 2>/dev/null; do :; done
  driver=
  return "$status"
}

near_the_limit() {
  requeue=yes
  [[ -z $driver ]] || kill "$driver" 2>/dev/null || true
}

finish() {
  trap - EXIT
  [[ -z $driver ]] || kill "$driver" 2>/dev/null || true
  end_steps
  wait
  rm -f "${RAY_AUTH_TOKEN_PATH:-}"
}

# To srun a SIGTERM means to kill its tasks outright, which would leave their files behind: ask the tasks themselves.
end_steps() {
  local try step
  for ((try = 0; ${#steps[@]} > 0 && try < 20; try++)); do
    # All steps, but not this script. Of a job that is being put back Slurm would let scancel wait for a minute.
    ((try % 5)) || timeout 2 scancel --quiet --signal=TERM "$SLURM_JOB_ID" || true
    for step in "${!steps[@]}"; do
      kill -0 "${steps[step]}" 2>/dev/null || unset "steps[step]"
    done
    ((${#steps[@]} == 0)) || sleep 1
  done
  kill "${steps[@]}" 2>/dev/null || true
}

trap finish EXIT
trap near_the_limit USR1 # from `#SBATCH --signal=B:USR1@...`
trap 'exit 143' TERM     # preempted or cancelled; Slurm itself requeues a preempted job
