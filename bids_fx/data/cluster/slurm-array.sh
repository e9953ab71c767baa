#!/bin/sh
# One participant of this job for Slurm. What is requested is also said when the job is submitted,
# where it wins over these lines. Slurm takes so many tasks as one array (by default 1000): in
# further ones they are counted from 1 again, and $1 is what is to be added.
#SBATCH --job-name=@NAME@
#SBATCH --output=@LOG@
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=@CPUS@
#SBATCH --mem=@MEM_MB@M
#SBATCH --time=@TIME@

BIDS_FX_CPUS=${SLURM_CPUS_PER_TASK:-@CPUS@}
BIDS_FX_MEM_MB=${SLURM_MEM_PER_NODE:-@MEM_MB@}
export BIDS_FX_CPUS BIDS_FX_MEM_MB
exec sh @JOB@/task.sh "$((SLURM_ARRAY_TASK_ID + ${1:-0}))"
