"""`copying.py SOURCE FOLDER`: copies prepared data, as training does, and prints the copy's path."""

import sys
from pathlib import Path

from alexnet_dist.data.imagenet.stage import staged

print(staged(sys.argv[1], Path(sys.argv[2])))
