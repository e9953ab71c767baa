#!/bin/sh
# One participant of this job for LSF (bsub -J 'NAME[1-N]'). Whether a site takes memory for the
# job or for each processor is in its settings; here it is meant for the job.
#BSUB @OPTIONS@
#BSUB -o /dev/null
#BSUB -n @CPUS@
#BSUB -R "span[hosts=1] rusage[mem=@MEM_MB@MB]"
#BSUB -M @MEM_MB@MB
#BSUB -W @MINUTES@

exec sh @JOB@/task.sh "$LSB_JOBINDEX" >@LOGS@/"${LSB_JOBID:-$$}_$LSB_JOBINDEX.log" 2>&1
