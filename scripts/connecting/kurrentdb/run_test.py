"""Runs a test for the client for Python, which finds the server by GRPC and RESP."""

import faulthandler
import os
import runpy
import sys

SECONDS = 120
# A script that has failed waits for its open calls at its end, for ever.
faulthandler.dump_traceback_later(SECONDS, exit=True)
runpy.run_path(sys.argv[1], {"GRPC": os.environ["CLIENT_KURRENTDB"], "RESP": int(os.environ["CLIENT_PORT"])})
