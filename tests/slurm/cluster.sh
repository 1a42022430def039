#!/usr/bin/env bash
# A Slurm cluster of one node on this machine, for tests/workflow/test_slurm.py and for trying
# profiles/slurm without a cluster. Debian or Ubuntu, as root; neither systemd nor cgroups needed.
#
#   tests/slurm/cluster.sh install   # Slurm's controller, node daemon and tools, and munge (apt)
#   tests/slurm/cluster.sh start     # writes /etc/slurm, starts the daemons, waits for the node
#   tests/slurm/cluster.sh status    # the node and the queue
#   tests/slurm/cluster.sh stop      # cancels all jobs and stops what `start` started
#
# The node claims CPUS cores (default: as many as there are) and GPUS GPUs (default 1). The GPUs
# are made up: Slurm counts them, gives each job its own and sets CUDA_VISIBLE_DEVICES, and there is
# nothing behind them. CPUs, GPUs and memory are booked; a job over its memory is killed.
#
# The configuration must lie in /etc/slurm, where the Slurm packages look for it: Snakemake's plugin
# clears SLURM_CONF within jobs. State and logs lie in STATE (default /tmp/slurm-test).
set -euo pipefail

STATE=${STATE:-/tmp/slurm-test}
CPUS=${CPUS:-$(nproc)}
GPUS=${GPUS:-1}
CONF=/etc/slurm
HOST=$(hostname -s)

fail() { echo "cluster.sh: $*" >&2; exit 1; }

wait_until() { # SECONDS COMMAND...: until the command succeeds
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || return 1
        sleep 0.1
    done
}

runs() { # DAEMON: whether the process in its file of the process number is alive, and no zombie
    local pid
    pid=$(cat "$STATE/run/$1.pid" 2>/dev/null) || return 1
    [[ $(cat "/proc/$pid/comm" 2>/dev/null) == "$1"* ]] && ! grep -q '^State:.Z' "/proc/$pid/status"
}
ended() { ! runs "$1"; }

install_packages() {
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -q -y --no-install-recommends slurmctld slurmd slurm-client munge
}

write_configuration() {
    install -d "$CONF" "$STATE"/{log,spool,run,gpu} /run/munge
    install -d -m 0700 "$STATE/state"
    # Slurm wants a character device behind each GPU, and numbers them by the digits at the end of
    # the file's name.
    local gpu
    rm -f "$STATE"/gpu/*
    : >"$CONF/gres.conf"
    for ((gpu = 0; gpu < GPUS; gpu++)); do
        ln -s /dev/null "$STATE/gpu/nvidia$gpu"
        echo "NodeName=$HOST Name=gpu File=$STATE/gpu/nvidia$gpu" >>"$CONF/gres.conf"
    done
    cat >"$CONF/slurm.conf" <<CONFIGURATION
# Written by tests/slurm/cluster.sh.
ClusterName=test
SlurmctldHost=$HOST(127.0.0.1)
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$STATE/state
SlurmdSpoolDir=$STATE/spool
SlurmctldPidFile=$STATE/run/slurmctld.pid
SlurmdPidFile=$STATE/run/slurmd.pid
SlurmctldLogFile=$STATE/log/slurmctld.log
SlurmdLogFile=$STATE/log/slurmd.log
# Reachable from this machine only.
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
# No cgroups: processes are found by their parents, their memory is read once a second.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
# No accounting, so no \`sacct\`: how a job ended is asked of \`squeue\`, for an hour.
AccountingStorageType=accounting_storage/none
MinJobAge=3600
# Jobs start at once, and impossible ones are refused instead of queued for ever.
SchedulerParameters=sched_min_interval=100000,bf_interval=1,batch_sched_delay=0
EnforcePartLimits=ALL
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=1000
# One's own machine: the node may claim more than there is, and comes back by itself.
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue=0
KillWait=5
GresTypes=gpu
NodeName=$HOST NodeAddr=127.0.0.1 CPUs=$CPUS RealMemory=64000 Gres=gpu:$GPUS State=UNKNOWN
PartitionName=main Nodes=$HOST Default=YES MaxTime=INFINITE State=UP
CONFIGURATION
}

as_munge() { setpriv --reuid=munge --regid=munge --clear-groups "$@"; }
munge_answers() { munge -n | unmunge; }

start_munge() {
    ! munge_answers >/dev/null 2>&1 || return 0
    chown munge:munge /run/munge
    chmod 0755 /run/munge
    [[ -s /etc/munge/munge.key ]] || as_munge mungekey --create
    as_munge munged --pid-file=/run/munge/munged.pid
    ln -sf /run/munge/munged.pid "$STATE/run/munged.pid"
    wait_until 10 munge_answers
}

node_is_idle() {
    local state
    state=$(timeout 5 sinfo --noheader --format %T)
    # Left so by an earlier life of this cluster, whose state is kept.
    [[ $state != drained && $state != down ]] || scontrol update nodename="$HOST" state=resume
    [[ $state == idle ]]
}

start() {
    ! runs slurmctld || fail 'is running'
    ! timeout 2 scontrol ping 2>/dev/null | grep -q 'is UP' || fail 'another Slurm answers'
    write_configuration
    start_munge
    slurmctld -i
    wait_until 20 timeout 2 scontrol ping || fail "see $STATE/log/slurmctld.log"
    slurmd
    wait_until 30 node_is_idle || fail "see $STATE/log"
    status
}

status() {
    sinfo --format '%P %N %T %c %m %G'
    squeue --format '%i %j %T %M %r %k'
}

nothing_runs() { [[ -z $(squeue --noheader --states=running,completing) ]]; }

stop() {
    if runs slurmctld; then
        timeout 10 scancel --user=root || true
        wait_until 15 nothing_runs || true
    fi
    local daemon
    for daemon in slurmd slurmctld munged; do
        ! runs $daemon || kill "$(cat "$STATE/run/$daemon.pid")"
        wait_until 20 ended $daemon || fail "$daemon does not end"
    done
}

case ${1:-} in
    install) install_packages ;;
    start) start ;;
    status) status ;;
    stop) stop ;;
    *) fail 'install, start, status or stop?' ;;
esac
