#!/bin/sh
# The level 'group' of this job for LSF, after the participants.
#BSUB @OPTIONS@
#BSUB -o /dev/null
#BSUB -n @CPUS@
#BSUB -R "rusage[mem=@MEM_MB@MB]"
#BSUB -M @MEM_MB@MB
#BSUB -W @MINUTES@

exec sh @JOB@/task.sh group >@LOGS@/"${LSB_JOBID:-$$}_group.log" 2>&1
