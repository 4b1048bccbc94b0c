"""Another program on a node: listens on a port until it is killed."""

import socket
import sys
import time

with socket.create_server(("", int(sys.argv[1]))):
    print("listening", flush=True)
    time.sleep(600)
