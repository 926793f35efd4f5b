#!/usr/bin/env bash
#SBATCH --job-name=unet-tf
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --requeue
# sbatch --export=ALL,DATA=/shared/cells,RUN=/shared/runs/cells export/cluster/slurm.sh --epochs 200 --batch-size 8
set -euo pipefail
HOSTS=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | paste -sd,)
export HOSTS
KIT=${KIT:-$SLURM_SUBMIT_DIR/export/cluster}
# Where one host ends, the others cannot go on: end all of them, and let Slurm start the job again.
srun --kill-on-bad-exit=1 bash -c 'INDEX=$SLURM_PROCID exec bash "$@"' host "$KIT/host.sh" "$@" ||
  { [ "${SLURM_RESTART_COUNT:-0}" -lt 5 ] && scontrol requeue "$SLURM_JOB_ID"; }
