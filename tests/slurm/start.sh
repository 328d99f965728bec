#!/bin/bash
# A Slurm cluster on this machine for tests: Debian's packages, a controller, two CPU nodes and two nodes with a stand-in GPU.
# Needs root and no systemd. ACCOUNTING=1 adds the accounting database. HOME_DIR holds its state and logs.
set -euo pipefail
HOME_DIR=${HOME_DIR:-/tmp/fairshrink-slurm}
ACCOUNTING=${ACCOUNTING:-0}
MARK="# fairshrink test cluster"
[ "$(id -u)" = 0 ] || { echo "starting a test cluster needs root" >&2; exit 1; }
mkdir -p "$HOME_DIR"/log "$HOME_DIR"/pid "$HOME_DIR"/ctld /etc/slurm

wait_for() { for _ in $(seq 1500); do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "no success after 5 min: $*" >&2; return 1; }

install_packages() {
  local wanted=(munge slurmctld slurmd slurm-client)
  [ "$ACCOUNTING" = 1 ] && wanted+=(slurmdbd mariadb-server)
  dpkg -s "${wanted[@]}" >/dev/null 2>&1 && return
  "$(dirname "$0")/../../.ci/install" "${wanted[@]}"
}

configure() {
  for file in slurm.conf gres.conf slurmdbd.conf; do
    if [ -e /etc/slurm/$file ] && ! head -1 /etc/slurm/$file | grep -qF "$MARK"; then
      echo "/etc/slurm/$file belongs to another cluster; not touched" >&2
      exit 1
    fi
  done
  {
    echo "$MARK"
    cat <<CONF
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=2,bf_interval=2
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=900
KillWait=5
GresTypes=gpu
AccountingStoreFlags=job_comment
MailProg=/bin/true
StateSaveLocation=$HOME_DIR/ctld
SlurmctldPidFile=$HOME_DIR/pid/slurmctld
SlurmctldLogFile=$HOME_DIR/log/slurmctld
SlurmdPidFile=$HOME_DIR/pid/slurmd.%n
SlurmdLogFile=$HOME_DIR/log/slurmd.%n
SlurmdSpoolDir=$HOME_DIR/spool.%n
CONF
    if [ "$ACCOUNTING" = 1 ]; then
      printf '%s\n' AccountingStorageType=accounting_storage/slurmdbd AccountingStorageHost=localhost AccountingStorageTRES=gres/gpu
    fi
    local node="NodeHostname=localhost NodeAddr=127.0.0.1 CPUs=2 RealMemory=6000 State=UNKNOWN"
    echo "NodeName=cpu1 Port=17101 $node"
    echo "NodeName=cpu2 Port=17102 $node"
    echo "NodeName=gpu1 Port=17103 Gres=gpu:1 $node"
    echo "NodeName=gpu2 Port=17104 Gres=gpu:1 $node"
    echo "PartitionName=cpu Nodes=cpu[1-2] Default=YES MaxTime=INFINITE State=UP"
    echo "PartitionName=gpu Nodes=gpu[1-2] MaxTime=INFINITE State=UP"
  } >/etc/slurm/slurm.conf
  printf '%s\n' "$MARK" "NodeName=gpu[1-2] Name=gpu File=/dev/null" >/etc/slurm/gres.conf
}

start_munge() {
  munge -n 2>/dev/null | unmunge >/dev/null 2>&1 && return
  if [ ! -s /etc/munge/munge.key ]; then
    head -c 1024 /dev/urandom >/etc/munge/munge.key
    chown munge: /etc/munge/munge.key
    chmod 400 /etc/munge/munge.key
  fi
  install -d -o munge -g munge -m 755 /run/munge
  runuser -u munge -- /usr/sbin/munged --force
  wait_for sh -c 'munge -n | unmunge'
  cp /run/munge/munged.pid "$HOME_DIR/pid/munged"
}

start_accounting() {
  local socket=$HOME_DIR/mysql/socket
  if [ ! -d "$HOME_DIR/mysql/mysql" ]; then
    install -d -o mysql -g mysql "$HOME_DIR/mysql"
    mariadb-install-db --no-defaults --user=mysql --datadir="$HOME_DIR/mysql" --auth-root-authentication-method=normal --skip-test-db >"$HOME_DIR/log/mariadb" 2>&1
  fi
  setsid mariadbd --no-defaults --user=mysql --datadir="$HOME_DIR/mysql" --socket="$socket" --bind-address=127.0.0.1 --port=13316 \
    --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900 >>"$HOME_DIR/log/mariadb" 2>&1 </dev/null &
  echo $! >"$HOME_DIR/pid/mariadbd"
  wait_for mariadb-admin --no-defaults -S "$socket" -uroot ping
  mariadb --no-defaults -S "$socket" -uroot -e "
    create database if not exists slurm_acct_db;
    create user if not exists slurm@localhost identified by 'slurm';
    create user if not exists slurm@'127.0.0.1' identified by 'slurm';
    grant all on slurm_acct_db.* to slurm@localhost;
    grant all on slurm_acct_db.* to slurm@'127.0.0.1';"
  {
    echo "$MARK"
    printf '%s\n' DbdHost=localhost AuthType=auth/munge SlurmUser=root StorageType=accounting_storage/mysql StorageHost=127.0.0.1 \
      StoragePort=13316 StorageUser=slurm StoragePass=slurm StorageLoc=slurm_acct_db \
      "PidFile=$HOME_DIR/pid/slurmdbd" "LogFile=$HOME_DIR/log/slurmdbd"
  } >/etc/slurm/slurmdbd.conf
  chmod 600 /etc/slurm/slurmdbd.conf
  slurmdbd </dev/null
  wait_for sacctmgr -n list cluster
}

idle() { [ "$(sinfo -h -N -o %T | sort -u)" = idle ]; }

install_packages
configure
start_munge
[ "$ACCOUNTING" = 1 ] && start_accounting
slurmctld </dev/null
wait_for scontrol show partition
for node in cpu1 cpu2 gpu1 gpu2; do
  mkdir -p "$HOME_DIR/spool.$node"
  slurmd -N $node </dev/null
done
wait_for idle
sinfo -N -o '%N %P %T %c %m %G'
