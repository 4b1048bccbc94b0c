"""What bad starts are drawn from: valid values and nonsense, folders, files, variables, commands."""

ODD = [
    "", "null", "nan", "-0", "-1", "0", "1e3", "1_0", "010", "0x10", "inf", ".inf", ".nan", "1e400", "9" * 20, "٣", "३",
    "true", "no", "~", "[", "[]", "[1", "{}", "{a: b}", "&a x", "*a", "!!python/name:os.system", "a: b", "- x", "'",
    '"', "\t", " ", "x" * 400, "é", "☃", "\x1b[31m", "a\nb", "%s%n", "$(touch x)", "../..", "/", ".", "--", "-x", "-",
]  # fmt: skip
# Valid values, of which every mixture takes seconds.
FIELDS = {
    "net.name": ["alexnet_small"], "net.towers": ["1", "2"], "net.exchange": ["[]", "fc8", "conv3,fc6"],
    "net.norm": ["true", "false"], "net.dropout": ["0", "0.5"], "net.classes": ["10", "12"], "net.channels": ["1"],
    "net.activation": ["relu", "tanh"], "net.follows": ["code"], "net.weights": ["run", "own", "missing"],
    "data.name": ["synthetic"], "data.workers": ["0", "1", "3"], "data.samples": ["64", "130"],
    "data.normalise": ["none", "[[0.5],[0.2]]", "imagenet"],
    "strategy.name": ["auto", "single", "ddp", "split"], "strategy.gradient_dtype": ["bf16", "fp32"],
    "strategy.shard_ranks": ["2"], "strategy.offload_optimizer": ["true"],
    "optim.name": ["adam", "sgd"], "optim.lr": ["1e-3", "1e2"], "optim.bias_lr": ["1e-3"], "optim.warmup_steps": ["2"],
    "optim.schedule": ["steps", "cosine", "polynomial"], "optim.milestones": ["[]", "1,2"], "optim.momentum": ["0.5"],
    "train.global_batch": ["32", "64", "7", "1000"], "train.accumulate": ["1", "2", "3"], "train.epochs": ["1", "2"],
    "train.max_steps": ["1", "3"], "train.precision": ["fp32", "fp64", "bf16", "fp16", "tf32"],
    "train.clip_norm": ["1", "1e-300"], "train.profile": ["1"], "train.evaluate": ["true", "false"],
    "train.evaluate_samples": ["1", "50", "99999999999999999999"], "train.timeout": ["20"],
    "checkpoint.every_steps": ["0", "1", "2", "99999999999999999999"], "checkpoint.keep": ["1", "3"],
    "checkpoint.keep_every": ["2", "3"], "checkpoint.background": ["true", "false"],
    "tracking.with": ["wandb", "[]", "tensorboard"], "tracking.wandb": ["true", "false"], "tracking.project": ["p"],
    "tracking.log_every": ["1", "2"], "run.seed": ["0", "9223372036854775807"], "run.name": ["x", "2012", "a.b"],
}  # fmt: skip
# A run directory by its name: where its files would come, or None where it must be refused.
FOLDERS: dict[str, str | None] = {
    **{name: name for name in ("new", "empty", "refused", "ünï ☃", "run", "damaged", "mount", "full")},
    "deep/new": "deep", "empty link": "empty", "parent/../beside": "beside", "mount/below": "mount",
    "full/below": "full",
    **dict.fromkeys(["own", "link", "link/", "file", "file/below", "dangling", "loop", "loop/below", "read-only"]),
    **dict.fromkeys(["read-only/below", "", ".", "..", "~x", "/proc/below", "x" * 256, "own/step-000000001"]),
    "run/checkpoints": None,
}  # fmt: skip
MOUNTED = ("mount", "full", "read-only")
FILES = [
    "run", "damaged", "own", "file", "link", "dangling", "loop", "empty", "missing", "image.png", "read-only",
    "/dev/null", "~/x", "run/checkpoints", "run/checkpoints/step-000000002", "run/config.yaml",
    "own/step-000000001", "", "x" * 300,
]  # fmt: skip
YAML = [
    b"", b"# only a remark\n", b"\xef\xbb\xbftrain: {max_steps: 2}\r\nrun: {seed: 3}\r\n", b"train:\n\tmax_steps: 2\n",
    b"train: {max_steps: 2}\ntrain: {max_steps: 3}\n", b"train: &t {max_steps: 2}\noptim: *t\n", b"- a\n", b"3",
    b"\xff\xfe\x00", "train: {max_steps: ٣}".encode(), b"trian: {max_steps: 2}", b"train: 3", b"train: [", b"null",
    b'run: {dir: "a\\0b"}', b"run: {name: 010}", b"train: {max_steps: 2}\n---\nnet: {}\n", b"%YAML 9.9\n---\n{}", b"{",
    b"train: {max_steps: 1e0}", b"tracking: {wandb: off}", b"run: {dir: ~}", b"run: {dir: own}", b"1: {2: 3}",
    b"x" * 1_000_100,
]  # fmt: skip
NUMBERS = ["", "x", "-1", "0", "1", "2", "٣", "99999999999999999999"]
WORDS = ["", "nonsense", "true", "1", "é", "x" * 300]
PLACES = ["", "missing/folder", "own", "file", "/proc/below", "read-only", "relative"]
VARIABLES = {
    **dict.fromkeys(["RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "TORCHELASTIC_RESTART_COUNT"], NUMBERS),
    **dict.fromkeys(["SLURM_JOB_ID", "SLURM_NTASKS", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_NODEID"], NUMBERS),
    **dict.fromkeys(["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_RESTART_COUNT", "OMP_NUM_THREADS"], NUMBERS),
    **dict.fromkeys(["COLUMNS", "LINES", "ALEXNET_DIST_RESTARTS", "GOMP_SPINCOUNT"], NUMBERS),
    "MASTER_ADDR": ["", "nonsense", "127.0.0.1"], "MASTER_PORT": ["", "0", "x", "29999", "99999"],
    "SLURM_STEP_NODELIST": ["", "n[1", "n[1-2]"], "SLURM_STEP_TASKS_PER_NODE": ["", "2(x", "1,1"],
    "CXX": ["", "nonsense", "ccache g++", "'", "false"], "TERM": ["", "dumb", "nonsense"], "TZ": ["", "nonsense"],
    "LANG": ["", "C", "nonsense"], "LC_ALL": ["C", "nonsense"], "PYTHONIOENCODING": ["ascii", "latin-1"],
    "NO_COLOR": ["", "1"], "FORCE_COLOR": ["", "1"], "PYTHONUNBUFFERED": ["", "1"], "PYTHONWARNINGS": ["", "always"],
    **dict.fromkeys(["HOME", "XDG_CACHE_HOME", "TMPDIR", "HF_HOME", "TORCH_HOME", "WANDB_DIR"], PLACES),
    "ALEXNET_DIST_PLUGINS": ["", "nonsense", ",", "os", "os.path:join", "toy net", "."],
    "ALEXNET_DIST_CONTROL": ["", "missing", "file"], "CUDA_VISIBLE_DEVICES": ["", "0", "nonsense"],
    "ACCELERATE_USE_CPU": WORDS, "ACCELERATE_MIXED_PRECISION": ["", "no", "bf16", "nonsense"],
    "ACCELERATE_USE_DEEPSPEED": ["", "true", "nonsense"], "ACCELERATE_USE_FSDP": ["", "true", "nonsense"],
    "ACCELERATE_DYNAMO_BACKEND": ["", "no", "inductor", "nonsense"], "ACCELERATE_LOG_LEVEL": ["", "INFO", "nonsense"],
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": NUMBERS, "ACCELERATE_TORCH_DEVICE": ["", "cpu", "meta", "nonsense"],
    "ACCELERATE_DEBUG_MODE": WORDS, "ACCELERATE_USE_PARALLELISM_CONFIG": ["", "true", "nonsense"],
    "WANDB_MODE": ["", "nonsense", "offline", "disabled"], "WANDB_PROJECT": ["", "a b/c", "x" * 300],
    "WANDB_ENTITY": WORDS, "WANDB_API_KEY": WORDS, "WANDB_RUN_ID": ["", "a/b", "x" * 300],
    "WANDB_SILENT": ["", "false"],
    "WANDB_RESUME": ["", "must", "nonsense"], "WANDB_BASE_URL": ["", "nonsense"], "WANDB_DISABLED": ["", "true"],
    "WANDB_RUN_GROUP": WORDS, "TORCH_LOGS": ["", "nonsense"],
}  # fmt: skip
# How often each is drawn; EXPERIMENT is a small training run, FILE one of FILES.
COMMANDS = """
5 train --print-config EXPERIMENT
3 train --print-config --config own.yaml
1 train --config FILE EXPERIMENT
1 train --help
2 launch --ranks 2 --print-command -- EXPERIMENT
1 launch --ranks x
1 launch --ranks 2 --nodes 3
1 launch --ranks 2 --program
1 evaluate --checkpoint FILE
1 export --checkpoint FILE --output exported
1 export --checkpoint run --output FILE
1 predict --checkpoint FILE FILE
1 predict --checkpoint run FILE FILE
1 runs run FILE
2 runs FILE
2 layers
1 layers --format svg --output drawn.svg
1 layers --format json --output FILE
1 strategies --ranks 3
1 compare --print-command EXPERIMENT
1 compare --from FILE
1 compare --dir own --strategies single EXPERIMENT
1 doctor EXPERIMENT
1 doctor --for-ranks 32 EXPERIMENT
1 doctor --output FILE EXPERIMENT
1 data
1 data fetch --root file
1 data fetch --root loop
1 bench --only nothing
1 bench --steps 0
1 completion bash
1 completion fish
1 parity --strategies splt
1 parity --ranks 0
1 parity --steps x
1 help
1 help train
1 --version
1 trian
"""
SMALL = "--net.name alexnet_small --data.name synthetic --data.samples 64 --train.global_batch 32 --train.max_steps 2"
