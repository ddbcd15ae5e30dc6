#!/bin/sh
# Ask a GPU everything at once: the questions are in benchmarks/gpu/questions.py.
#
#   benchmarks/gpu/run.sh pack build/gpu        here: packages, and a slide, in less than 64 MiB with the repository's files
#   benchmarks/gpu/run.sh ask build/gpu OUT     on a machine that has PyTorch, a GPU and no network; at most 8 minutes
#
# Both from the repository's root. `ask` takes what benchmarks/gpu/questions.py does, such as --device cpu --seconds 60, and writes
# OUT/gpu.json after each answer. Where the packages are installed, "-" stands for the folder.
set -eu
what=$1 packed=$2
python=${PYTHON:-python3}
case $what in
pack)
  exec "$python" benchmarks/gpu/pack.py "$packed"
  ;;
ask)
  out=$3
  shift 3
  packages=
  if [ "$packed" != - ]; then
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    tar -xJf "$packed/site.tar.xz" -C "$scratch"
    packages=:$scratch/site
  fi
  PYTHONPATH=$PWD$packages${PYTHONPATH:+:$PYTHONPATH} "$python" benchmarks/gpu/questions.py "$out" --packed "$packed" "$@"
  ;;
*)
  echo "error: what to do is pack or ask (got $what)" >&2
  exit 2
  ;;
esac
