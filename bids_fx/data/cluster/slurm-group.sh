#!/bin/sh
# The level 'group' of this job for Slurm, after the participants.
#SBATCH --job-name=@NAME@
#SBATCH --output=@LOG@
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=@CPUS@
#SBATCH --mem=@MEM_MB@M
#SBATCH --time=@TIME@

exec sh @JOB@/task.sh group
