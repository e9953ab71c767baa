#!/bin/sh
# One task of this job: `sh task.sh N` does the participant on line N of participants.txt,
# `sh task.sh group` the level 'group'. It can be called by hand, on any machine that sees the
# folders; all schedulers call it alike.
#
# Environment that it honours:
#   BIDS_FX_CPUS     processors (else those that the job was made for)
#   BIDS_FX_MEM_MB   memory in MB that the scheduler gives (else what the job was made for)
#   BIDS_FX_SCRATCH  folder for intermediate files, best on the node's own disk
#
# It ends with the program's exit code, which is kept in ended/N.json with the seconds it took,
# and removes its intermediate files, also when it is told to end (SIGTERM).
set -u

job=@JOB@
task=${1-}
cpus=${BIDS_FX_CPUS:-@CPUS@}
given_mb=${BIDS_FX_MEM_MB:-@MEM_MB@}

fail() {
    echo "task.sh: $1" >&2
    exit "$2"
}

[ -f "$job/job.json" ] || fail "the job's folder was moved: make another job ($job is gone)." 66
case $task in
group) ;;
'' | 0* | *[!0-9]*) fail "which task? Say a number from 1 to @N_TASKS@, or 'group'." 2 ;;
*)
    participant=$(sed -n "${task}p" "$job/participants.txt")
    [ -n "$participant" ] || fail "there is no task $task: there are @N_TASKS@." 2
    case $given_mb in
    '' | 0?* | *[!0-9]*) fail "BIDS_FX_MEM_MB is '$given_mb': say a whole number of MB." 2 ;;
    esac
    mem_mb=$((given_mb - @MARGIN_MB@)) # the rest is for what is not the program
    [ "$mem_mb" -ge @LEAST_MB@ ] || fail "$given_mb MB are too little: @MARGIN_MB@ MB are for what \
is not the program, which is to have @LEAST_MB@ MB at least." 2
    ;;
esac

# The node's own disk: where the caller, the job or the scheduler says.
scratch=${BIDS_FX_SCRATCH-}
if [ -z "$scratch" ]; then
    # A variable that is not set ends the subshell, which says so.
    scratch=$(exec 2>&1 && printf '%s' @SCRATCH@) ||
        fail "--scratch: ${scratch##*: } on this machine." 73
fi
if [ -n "$scratch" ]; then
    mkdir -p -- "$scratch" || fail "the scratch folder $scratch cannot be made." 73
else
    for folder in "${SLURM_TMPDIR-}" "${__LSF_JOB_TMPDIR__-}" "${TMPDIR-}" /tmp; do
        if [ -d "$folder" ] && [ -w "$folder" ]; then
            scratch=$folder
            break
        fi
    done
fi
# Set before the folder is made: a signal meanwhile is handled once its name is known.
work=
trap '[ -z "$work" ] || rm -rf -- "$work"' EXIT
trap 'exit 143' HUP INT TERM
work=$(mktemp -d "$scratch/bids_fx-XXXXXX") || fail "no folder can be made in '$scratch'." 73

ended=$job/ended/$task.json
mkdir -p -- "$job/ended"
rm -f -- "$ended"
began=$(date +%s)

@PROGRAM@
set -- "$@" @BIDS_DIR@ @OUTPUT_DIR@
if [ "$task" = group ]; then
    set -- "$@" group --work-dir "$work" @GROUP_OPTIONS@
else
    set -- "$@" participant --config-file "$job/config.toml" --participant-label "$participant" \
        --nprocs "$cpus" --mem-mb "$mem_mb" --work-dir "$work"
fi

# In the background, so that a signal to this script alone reaches the program too.
told=
"$@" &
program=$!
trap 'told=yes; kill -TERM "$program" 2>/dev/null' HUP INT TERM
wait "$program"
code=$?
while [ -n "$told" ]; do # the signal ended the waiting, not yet the program
    told=
    wait "$program"
    code=$?
done
trap '' HUP INT TERM

if [ -n "${SLURM_ARRAY_JOB_ID-}" ]; then
    id=${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID-}
elif [ -n "${LSB_JOBID-}" ]; then
    id="${LSB_JOBID}[${LSB_JOBINDEX:-0}]"
elif [ -n "${JOB_ID-}" ]; then
    id=$JOB_ID.${SGE_TASK_ID-}
else
    id=${SLURM_JOB_ID:-${PBS_JOBID:-$$}}
fi
printf '{"code": %d, "job": "%s", "seconds": %d}\n' "$code" "$id" $(($(date +%s) - began)) \
    >"$ended.$$" && mv -- "$ended.$$" "$ended"
exit "$code"
