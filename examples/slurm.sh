#!/bin/bash
# A run of a problem file on two nodes: sbatch slurm.sh. At its time limit it is saved, and put into the queue again.
#SBATCH --job-name=run --nodes=2 --ntasks-per-node=8 --cpus-per-task=1 --time=04:00:00
#SBATCH --signal=TERM@120 --requeue
# Where the cluster's MPI wants it: srun --mpi=pmi2, or --mpi=pmix.
out=$SLURM_SUBMIT_DIR/run-$SLURM_JOB_ID
if [ -e "$out/run.json" ]; then
    srun gradstep run --resume "$out"
else
    srun gradstep run problem.py:NAME --micro-batches 64 --max-steps 100000 --out "$out"
fi
code=$?
if [ "$code" = 143 ]; then scontrol requeue "$SLURM_JOB_ID"; fi # 128 + SIGTERM: it was saved, and can go on
exit "$code"
