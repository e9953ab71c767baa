#!/bin/sh
# One participant of this job for Grid Engine (qsub -t 1-N). Sites name the parallel environment
# ("smp" here) and what memory is requested by (here mem_free for each processor) as they like.
#$ @OPTIONS@
#$ -S /bin/sh
#$ -N @NAME@
#$ -j y
#$ -o /dev/null
#$ -pe smp @CPUS@
#$ -l mem_free=@MEM_CPU_MB@M
#$ -l h_rt=@TIME@

exec sh @JOB@/task.sh "$SGE_TASK_ID" >@LOGS@/"${JOB_ID:-$$}_$SGE_TASK_ID.log" 2>&1
