#!/bin/bash
# Stops the test cluster that start.sh started and removes its settings and state. Says nothing if there is none.
set -uo pipefail
HOME_DIR=${HOME_DIR:-/tmp/fairshrink-slurm}
MARK="# fairshrink test cluster"
[ "$(id -u)" = 0 ] || exit 0

stop() { # name of the pid file, name of the program
  local pid
  pid=$(cat "$HOME_DIR/pid/$1" 2>/dev/null) || return 0
  [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ] || return 0
  kill "$pid"
  for _ in $(seq 50); do [ -e "/proc/$pid" ] || return 0; sleep 0.2; done
  kill -9 "$pid"
}

if head -1 /etc/slurm/slurm.conf 2>/dev/null | grep -qF "$MARK"; then
  timeout 10 scancel --user root 2>/dev/null
  for _ in $(seq 50); do [ -z "$(timeout 5 squeue -h -t R,CG 2>/dev/null)" ] && break; sleep 0.2; done
fi
for file in "$HOME_DIR"/pid/slurmd.*; do stop "$(basename "$file")" slurmd; done
stop slurmctld slurmctld
stop slurmdbd slurmdbd
stop mariadbd mariadbd
stop munged munged
# Settings without a controller would cost every later start of Snakemake nine seconds.
for file in slurm.conf gres.conf slurmdbd.conf; do
  head -1 /etc/slurm/$file 2>/dev/null | grep -qF "$MARK" && rm -f /etc/slurm/$file
done
rm -rf "$HOME_DIR"
