"""A PID and mount namespace that ends with the process of the tests, however that ends."""

OF_ITS_OWN = ["--pid", "--fork", "--mount", "--mount-proc", "--propagation", "private", "--kill-child"]


def isolated(*argv):
    """Returns the argv that executes `argv` as process 1 of a namespace. If this process is killed, the kernel kills unshare, and with
    it process 1 and all others in the namespace."""
    return ["setpriv", "--pdeathsig", "KILL", "unshare", *OF_ITS_OWN, *argv]
