#!/bin/sh
# The level 'group' of this job for PBS Professional, OpenPBS and Torque, after the participants.
#PBS @OPTIONS@
#PBS -N @NAME@
#PBS -j oe
#PBS -o /dev/null
#PBS -l nodes=1:ppn=@CPUS@
#PBS -l mem=@MEM_MB@mb
#PBS -l walltime=@TIME@

exec sh @JOB@/task.sh group >@LOGS@/"${PBS_JOBID:-$$}_group.log" 2>&1
