"""An s6-svscan, as far as a boot pass can tell one."""

import os


def is_read(control):
    """Returns whether a process reads a control FIFO. s6-svscan is ready then; it creates the FIFO earlier."""
    try:
        os.close(os.open(control, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


class Svscan:
    """What s6-svscan has in a scan directory, as long as this object lives: its directory, and its control FIFO open for reading."""

    def __init__(self, scandir):
        control = scandir / ".s6-svscan/control"
        control.parent.mkdir(parents=True)
        os.mkfifo(control, 0o600)
        self.end = os.open(control, os.O_RDONLY | os.O_NONBLOCK)

    def stop(self):
        if self.end is not None:
            os.close(self.end)
            self.end = None

    def __del__(self):
        self.stop()
