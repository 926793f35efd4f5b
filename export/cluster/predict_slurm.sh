#!/usr/bin/env bash
#SBATCH --job-name=unet-tf-predict
#SBATCH --array=1-8
#SBATCH --requeue
# sbatch --export=ALL,RUN=/shared/runs/cells,IMAGE=/shared/slide.zarr,OUT=/shared/masks.zarr export/cluster/predict_slurm.sh
# Each job of the array does its share of the chunks. Started again, it does what is left of it.
set -euo pipefail
number=$((SLURM_ARRAY_TASK_ID - SLURM_ARRAY_TASK_MIN + 1))
if [ $((SLURM_ARRAY_TASK_MAX - SLURM_ARRAY_TASK_MIN + 1)) != "$SLURM_ARRAY_TASK_COUNT" ]; then
  echo "The array must have no gaps, or some shares would be nobody's. Give all of it again: what is there is kept." >&2
  exit 2
fi
exec unet-tf predict "${RUN:?}" "${IMAGE:?}" --out "${OUT:?}" --shard "$number/$SLURM_ARRAY_TASK_COUNT" "$@"
