#!/bin/sh
# The level 'group' of this job for Grid Engine, after the participants.
#$ @OPTIONS@
#$ -S /bin/sh
#$ -N @NAME@
#$ -j y
#$ -o /dev/null
#$ -l mem_free=@MEM_MB@M
#$ -l h_rt=@TIME@

exec sh @JOB@/task.sh group >@LOGS@/"${JOB_ID:-$$}_group.log" 2>&1
