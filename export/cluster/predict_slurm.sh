#!/usr/bin/env bash
#SBATCH --job-name=unet-tf-predict
#SBATCH --array=1-8
#SBATCH --requeue
# sbatch --export=ALL,RUN=/shared/runs/cells,IMAGE=/shared/slide.zarr,OUT=/shared/masks.zarr export/cluster/predict_slurm.sh
# Each job of the array does its share of the chunks. Started again, it does what is left of it.
# Some of the jobs alone: --array=3,7 --export=ALL,SHARDS=8,RUN=..., where SHARDS is how many there were, from 1 on.
set -euo pipefail
number=$SLURM_ARRAY_TASK_ID
if [ -z "${SHARDS:-}" ]; then
  SHARDS=$SLURM_ARRAY_TASK_COUNT number=$((SLURM_ARRAY_TASK_ID - SLURM_ARRAY_TASK_MIN + 1))
  [ $((SLURM_ARRAY_TASK_MIN + SHARDS - 1)) = "$SLURM_ARRAY_TASK_MAX" ] || {
    echo "An array with gaps must be told how many shares there are: --export=ALL,SHARDS=8,RUN=..." >&2
    exit 2
  }
fi
exec unet-tf predict "${RUN:?}" "${IMAGE:?}" --out "${OUT:?}" --shard "$number/$SHARDS" "$@"
