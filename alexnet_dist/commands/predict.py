"""`alexnet-dist predict`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from alexnet_dist.commands import Command
from alexnet_dist.config.flags import Flags
from alexnet_dist.config.values import FilePath, Group, Role
from alexnet_dist.errors import DONE, USAGE, UsageError
from alexnet_dist.launcher.exit_status import print_reason
from alexnet_dist.registry import commands

ABOUT = """The likeliest classes of images, with their probabilities.

alexnet-dist predict --checkpoint runs/NAME photo.jpg
"""


class PredictFlags(Group):
    checkpoint: FilePath = Field(description="a checkpoint, or the directory of a run")
    image: Annotated[list[FilePath], Role.ARGUMENT] = Field(
        min_length=1, description="a file that Pillow reads: PNG, JPEG, …"
    )


FLAGS = Flags(PredictFlags)


def run(flags: Sequence[str]) -> int:
    """Print the likeliest classes of image files; those that cannot be read are named, and the exit code is 2."""
    own, _ = FLAGS.split(flags)
    from alexnet_dist.training.predict import Predictor

    predictor, code = Predictor(Path(own.checkpoint)), DONE
    for image in map(Path, own.image):
        try:
            likeliest = predictor.classify(image)
        except UsageError as error:
            print_reason(USAGE, str(error))
            code = USAGE
            continue
        print(image)
        for name, probability in likeliest:
            print(f"  {probability:8.2%}  {name}", flush=True)
    return code


COMMAND = commands.register(Command("predict", "classes of images, with probabilities", run, FLAGS, ABOUT))
