"""`python -m blog`: a mail server, a worker and the site, together until Ctrl-C. PORT and MAIL_PORT say where."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

GRACE_SECONDS = 12
PORT = os.environ.get("PORT", "8000")
MAIL_PORT = os.environ.get("MAIL_PORT", "8025")
MANAGE = (sys.executable, "manage.py")
TOGETHER = (
    (sys.executable, "-m", "aiosmtpd", "-n", "-l", f"127.0.0.1:{MAIL_PORT}", "-c", "aiosmtpd.handlers.Mailbox", "mail"),
    (*MANAGE, "gator_worker", "--no-reload"),
    (*MANAGE, "runserver", "--noreload", f"127.0.0.1:{PORT}"),
)


def main() -> int:
    """Starts all, waits for the first that ends, and ends the others."""
    subprocess.run([*MANAGE, "migrate", "--verbosity", "0"], check=True)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    running = [subprocess.Popen(command) for command in TOGETHER]
    try:
        os.wait()
        return 1
    except KeyboardInterrupt:  # Ctrl-C reaches every process of a terminal: the worker lets running jobs finish
        with suppress(subprocess.TimeoutExpired):
            for process in running:
                process.wait(GRACE_SECONDS)
        return 0
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
