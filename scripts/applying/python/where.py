"""Where the server is, for the programs beside this one."""

import os

PORT = int(os.environ["PORT"])
DB = int(os.environ["DB"])
URL = f"redis://127.0.0.1:{PORT}/{DB}"
