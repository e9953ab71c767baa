#!/usr/bin/env bash
# A Slurm of its own on this machine: two nodes, accounting, and memory limits where control groups
# can be had. Needs root; installs what is absent (Debian, Ubuntu).
#   loopback.sh up FOLDER      starts it; settings, state, logs and process ids are in FOLDER
#   loopback.sh down FOLDER    ends it, whatever state it is in
#   loopback.sh run FOLDER COMMAND...   starts it, runs a command with it and ends it
# FOLDER is made anew; one that holds anything else than a Slurm of ours is refused.
# Programs find it by SLURM_CONF=FOLDER/slurm.conf; FOLDER/limits says what limits memory.
set -euo pipefail

command=${1:?up, down or run} folder=${2:?the folder of its state}
shift 2
export SLURM_CONF=$folder/slurm.conf MYSQL_UNIX_PORT=$folder/mariadb/socket
export PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s %s\n' "$(date +%T)" "$*" >&2; }

# await SECONDS COMMAND...: until the command succeeds, but no longer.
await() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || return 1
        sleep 0.1
    done
}

# start NAME COMMAND...: as a process in the background, in a session of its own.
start() {
    local name=$1
    shift
    setsid "$@" </dev/null >>"$folder/log/$name" 2>&1 &
    echo $! >"$folder/$name.pid"
}

# The process of a name, if it is still the one that was started here.
process_of() {
    local pid
    pid=$(cat "$folder/$1.pid" 2>/dev/null) || return 1
    [[ $(cat "/proc/$pid/comm" 2>/dev/null) == "${1%-d[01]}" ]] && echo "$pid"
}

is_over() { ! process_of "$1" >/dev/null; }

# May be removed: a folder that is absent, empty, or has what `up` writes first.
is_ours() {
    [[ ! -e $folder ]] || { [[ -d $folder && -z $(ls -A "$folder") ]]; } ||
        [[ -f $folder/slurm.conf && -f $folder/limits ]]
}

install_programs() {
    local program missing=''
    for program in slurmctld slurmd slurmdbd munged mariadbd; do
        command -v "$program" >/dev/null || missing=yes
    done
    [[ -n $missing ]] || return 0
    say 'installing Slurm'
    local policy=/usr/sbin/policy-rc.d ours='' status=0
    if [[ ! -e $policy ]]; then # keeps packages from starting what they bring
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
        ours=yes
    fi
    {
        timeout 60 apt-get update --quiet &&
            DEBIAN_FRONTEND=noninteractive timeout 180 apt-get install --quiet --yes --no-install-recommends \
                slurm-wlm slurmdbd munge mariadb-server
    } >"$folder/log/apt" 2>&1 || status=$?
    [[ -z $ours ]] || rm -f $policy
    return $status
}

# What can limit memory here: control groups of version 1 or 2, or nothing.
find_limits() {
    if [[ -w /sys/fs/cgroup/memory && -w /sys/fs/cgroup/freezer ]]; then
        echo cgroup/v1
    elif [[ -w /sys/fs/cgroup ]] && grep -qsw memory /sys/fs/cgroup/cgroup.controllers; then
        echo cgroup/v2
    else
        echo none
    fi
}

write_settings() {
    local limits=$1 tracking host memory
    host=$(hostname -s)
    memory=$(awk '/^MemTotal/ { print int($2 / 1024 * 3 / 8) }' /proc/meminfo)
    if [[ $limits == none ]]; then
        tracking='ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherParams=OverMemoryKill'
        : >"$folder/cgroup.conf"
    else
        tracking='ProctrackType=proctrack/cgroup
TaskPlugin=task/cgroup'
        {
            echo "CgroupPlugin=$limits"
            echo 'CgroupMountpoint=/sys/fs/cgroup'
            echo 'ConstrainRAMSpace=yes'
            # In a container there is no systemd to ask for a scope.
            [[ $limits == cgroup/v1 ]] || printf '%s=yes\n' IgnoreSystemdOnFailure EnableControllers
        } >"$folder/cgroup.conf"
    fi
    echo "$limits" >"$folder/limits"
    cat >"$folder/slurm.conf" <<CONF
ClusterName=loopback
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=17817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool-%n
SlurmctldPidFile=$folder/slurmctld.own
SlurmdPidFile=$folder/slurmd-%n.own
$tracking
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=bf_interval=2,batch_sched_delay=0
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort=17819
AccountingStoragePass=$folder/munge/socket
PropagateResourceLimits=NONE
MaxArraySize=5
ReturnToService=2
MpiDefault=none
SlurmdParameters=config_overrides
KillWait=10
NodeName=d[0-1] NodeHostname=$host NodeAddr=127.0.0.1 Port=[17821-17822] CPUs=2 RealMemory=$memory
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP DefMemPerNode=500
CONF
    cat >"$folder/slurmdbd.conf" <<CONF
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
DbdHost=localhost
DbdPort=17819
SlurmUser=root
StorageType=accounting_storage/mysql
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
PidFile=$folder/slurmdbd.own
CONF
    chmod 600 "$folder/slurmdbd.conf"
}

sql() { mariadb --no-defaults --socket="$MYSQL_UNIX_PORT" "$@"; }

start_accounting() {
    install -d -o munge -g munge -m 755 "$folder/munge"
    dd if=/dev/urandom of="$folder/munge/key" bs=1024 count=1 status=none
    chown munge: "$folder/munge/key"
    chmod 400 "$folder/munge/key"
    start munged setpriv --reuid munge --regid munge --clear-groups munged --foreground --force \
        --key-file="$folder/munge/key" --socket="$folder/munge/socket" \
        --pid-file="$folder/munge/own" --log-file="$folder/munge/log" --seed-file="$folder/munge/seed"
    install -d -o mysql -m 755 "$folder/mariadb"
    mariadb-install-db --no-defaults --user=mysql --datadir="$folder/mariadb/data" \
        --auth-root-authentication-method=socket --skip-test-db >"$folder/log/mariadb-install" 2>&1
    start mariadbd mariadbd --no-defaults --user=mysql --datadir="$folder/mariadb/data" \
        --socket="$MYSQL_UNIX_PORT" --skip-networking --innodb-buffer-pool-size=32M \
        --innodb-lock-wait-timeout=900
    await 30 sql --execute 'select 1'
    sql --execute "create database slurm_acct_db; create user slurm@localhost identified by 'slurm';
        grant all on slurm_acct_db.* to slurm@localhost"
    await 10 munge --socket="$folder/munge/socket" --no-input
    start slurmdbd slurmdbd -D
    await 30 sacctmgr --noheader show cluster
}

is_queue_empty() { [[ -z $(timeout 5 squeue --noheader) ]]; }

are_nodes_idle() { [[ $(sinfo --noheader --Node --format %t) == $'idle\nidle' ]]; }

start_nodes() {
    write_settings "$1"
    start slurmctld slurmctld -D
    start slurmd-d0 slurmd -D -N d0
    start slurmd-d1 slurmd -D -N d1
    await "$2" are_nodes_idle
}

stop() {
    local name pid
    for name in "$@"; do
        pid=$(process_of "$name") && kill "$pid" 2>/dev/null || true
    done
    for name in "$@"; do
        await 10 is_over "$name" || kill -KILL "$(process_of "$name")" 2>/dev/null || true
    done
}

stop_jobs() {
    process_of slurmctld >/dev/null || return 0
    timeout 10 scancel --me --quiet 2>/dev/null || true
    await 15 is_queue_empty || say 'jobs are left over'
    sleep 1 # the last step reports its end to slurmd
}

# Steps that outlived their node; they are known by the settings that they were started with.
stop_steps() {
    local process
    for process in /proc/[0-9]*; do
        [[ $(cat "$process/comm" 2>/dev/null) == slurmstepd ]] || continue
        tr '\0' '\n' <"$process/environ" 2>/dev/null | grep -qxF "SLURM_CONF=$SLURM_CONF" || continue
        kill -KILL "${process#/proc/}" 2>/dev/null || true
    done
}

remove_groups() {
    local top
    for top in /sys/fs/cgroup/*/slurm_d[01] /sys/fs/cgroup/*/d[01]_slurmstepd.scope; do
        [[ ! -d $top ]] || find "$top" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
}

down() {
    stop_jobs
    stop slurmctld slurmd-d0 slurmd-d1
    stop slurmdbd
    stop mariadbd munged
    stop_steps
    remove_groups
}

show_logs() {
    local log
    for log in "$folder"/log/*; do
        printf '==> %s\n' "$log" >&2
        tail -n 15 "$log" >&2
    done
}

up() {
    local limits
    down
    rm -rf "$folder"
    install -d -m 755 "$folder" "$folder/log" "$folder/state" "$folder/spool-d0" "$folder/spool-d1"
    limits=$(find_limits)
    write_settings "$limits" # first: they show that the folder is ours
    install_programs
    start_accounting
    if ! start_nodes "$limits" 20; then
        say "the nodes do not come up with $limits"
        [[ $limits != none ]] || return 1
        show_logs
        stop slurmctld slurmd-d0 slurmd-d1
        start_nodes none 20
    fi
    limits=$(cat "$folder/limits")
    if [[ $limits == none ]]; then
        say 'Slurm is up; memory is watched by polling, since there are no control groups'
    else
        say "Slurm is up; memory is limited by $limits"
    fi
}

# The command is waited for in a way that a signal interrupts.
run() {
    local status=0
    "$@" &
    ours=$!
    wait "$ours" || status=$?
    ours=
    return $status
}

clean_up() {
    [[ -z ${ours-} ]] || kill "$ours" 2>/dev/null || true
    say 'ending Slurm'
    down
    say 'Slurm has ended'
}

if ! is_ours; then
    say "$folder is not empty, and is no folder of a Slurm of ours: name another one"
    exit 2
fi
trap 'exit 143' TERM
trap 'exit 130' INT
if [[ $(id -u) != 0 ]]; then
    say 'a Slurm of its own needs root: call this by sudo, or in a container'
    exit 1
fi
case $command in
up)
    trap 'status=$?; if ((status)); then show_logs; down; fi' EXIT
    up
    ;;
down) down ;;
run)
    trap clean_up EXIT
    say 'starting Slurm'
    up || {
        show_logs
        exit 1
    }
    run "$@"
    ;;
*)
    say "up, down or run, not $command"
    exit 2
    ;;
esac
