"""`several_commands.py JSON`: commands of `alexnet-dist` in one process, which imports torch once.

The argument is a list of commands, each a list of words. A line for each: [exit code, what it printed].
"""

import contextlib
import io
import json
import sys

from alexnet_dist.cli import main

for words in json.loads(sys.argv[1]):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = main(words)
    print(json.dumps([code, printed.getvalue()]))
