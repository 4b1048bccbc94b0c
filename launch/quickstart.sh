#!/usr/bin/env bash
# From a fresh clone to AlexNet on real images, as data parallelism and as the two-GPU split of 2012, with one command:
#   launch/quickstart.sh
#   launch/quickstart.sh --net.name alexnet_2012      arguments go through to both runs and to the comparison
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/setup.sh

read -r gpus fast < <(.venv/bin/python -c '
from alexnet_dist.config.precisions import cpu_multiplies_bf16
from alexnet_dist.distributed.devices import gpu_count
print(gpu_count(), "bf16" if cpu_multiplies_bf16() else "fp32")')
flags=(--config configs/quickstart.yaml --run.overwrite true)
comparison=(--config configs/compare/quickstart.yaml --overwrite true)
if [ "$gpus" -eq 0 ] && command -v nvidia-smi >/dev/null; then
  echo "note: torch cannot use this machine's GPU driver ($(nvidia-smi | grep -o 'CUDA Version: [0-9.]*' || true)): install a" \
    "torch build for that CUDA version into .venv"
fi
mkdir -p runs/quickstart
rm -f runs/quickstart/net.svg
.venv/bin/alexnet-dist layers "${flags[@]}" --format svg --output runs/quickstart/net.svg "$@"
if [ "$gpus" -eq 1 ]; then
  echo "one GPU here: ten epochs in one process on it, in bf16; ddp and split then on the CPU, which has room for two ranks"
  .venv/bin/alexnet-dist launch --ranks 1 -- "${flags[@]}" --strategy.name single --train.epochs 10 --train.precision bf16 \
    --run.dir runs/quickstart/single "$@"
fi
if [ "$gpus" -lt 2 ]; then
  echo "no two GPUs here: two ranks on the CPU in $fast, 25 steps of 128 images each, accuracy on 2,000 test images, and a" \
    "short comparison; under ten minutes"
  flags+=(--train.max_steps 25 --train.evaluate_samples 2000 --train.precision "$fast")
  comparison+=(--seconds 0 --train.precision "$fast")
  export ACCELERATE_USE_CPU=true
fi
for strategy in ddp split; do
  .venv/bin/alexnet-dist launch --ranks 2 -- "${flags[@]}" --strategy.name "$strategy" \
    --run.dir "runs/quickstart/$strategy" "$@"
done
.venv/bin/alexnet-dist runs runs/quickstart/ddp runs/quickstart/split
.venv/bin/python launch/compare.py "${comparison[@]}" "$@"
