#!/bin/sh
# One participant of this job for PBS Professional and OpenPBS (qsub -J 1-N) or Torque
# (qsub -t 1-N); of a job that is no array, BIDS_FX_TASK says which (qsub -v BIDS_FX_TASK=1).
#PBS @OPTIONS@
#PBS -N @NAME@
#PBS -j oe
#PBS -o /dev/null
#PBS -l nodes=1:ppn=@CPUS@
#PBS -l mem=@MEM_MB@mb
#PBS -l walltime=@TIME@

task=${PBS_ARRAY_INDEX:-${PBS_ARRAYID:-${BIDS_FX_TASK-}}}
exec sh @JOB@/task.sh "$task" >@LOGS@/"${PBS_JOBID:-$$}_$task.log" 2>&1
