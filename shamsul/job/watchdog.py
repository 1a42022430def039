"""A watchdog: a job ends with the Snakemake that started it.

Where Snakemake is killed (`kill -9`, or by the kernel when memory runs out) its jobs live on.
Beside the jobs of the next run they would take memory and GPU twice. A job that was started under
other settings would, when it ends at last, replace the new result by its own.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from pathlib import Path

PARENT = "SHAMSUL_PARENT"
"""Environment variable with the process id that a job must not outlive, as the rules' shell sets
it."""

logger = logging.getLogger(__name__)


def watch(process: int, every: float = 1.0, patience: float = 5.0) -> None:
    """End this program as by SIGTERM once a process is gone.

    Parameters
    ----------
    process : id of the process on this machine.
    every : seconds between two checks.
    patience : seconds to end in before the signal is sent again; after the third it is ended.
    """

    def look() -> None:
        while _exists(process):
            time.sleep(every)
        logger.error("error: Snakemake is gone, and so this job ends")
        # Three times, because an exception of the signal's handler is lost inside a destructor.
        for _ in range(3):
            # To the main thread: it may be waiting for a lock, which only its own signal ends.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
            time.sleep(patience)
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=look, daemon=True).start()


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # It is another user's process.
        return True
    # A zombie is dead too, though its parent has not collected it yet; Linux shows its state.
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return True
    return status.rpartition(")")[2].split()[0] != "Z"
