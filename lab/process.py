"""Programs that we start, bounded and cleaned up.

Every program runs in a process group of its own with its output in a file (and in our session, as if a person had typed it
here: the kernel shares a core out by sessions), and whatever happens to us (an exception, Ctrl-C,
SIGTERM, even SIGKILL) it is told to end. Nothing is ever ended by name.
"""

import atexit
import contextlib
import ctypes
import os
import signal
import subprocess
import tempfile
import time

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_running = []


class Failure(Exception):
    """A program did not do what was asked of it; the text says which and what it printed."""


def _end_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job ignores it, and so would all we start


class Running:
    """A started program. Also a context manager that stops it: alone, as a person would, or with the whole group that it
    started, which is for programs that do not clean up behind themselves."""

    def __init__(self, argv, *, env=None, cwd=None, stdin=subprocess.DEVNULL, pass_fds=(), whole_group=False):
        self.argv = [str(word) for word in argv]
        self._output = tempfile.TemporaryFile()
        self.process = subprocess.Popen(self.argv, stdin=stdin, stdout=self._output, stderr=subprocess.STDOUT, pass_fds=pass_fds,
                                        process_group=0, preexec_fn=_end_with_parent, env=env, cwd=cwd)
        self.pid = self.process.pid
        self.whole_group = whole_group
        _running.append(self)

    def output(self):
        return os.pread(self._output.fileno(), 1 << 26, 0).decode(errors="replace")

    def wait_for(self, text, timeout_s):
        """Returns once the program has printed the text; a Failure if it ends or is too slow."""
        deadline = time.monotonic() + timeout_s
        while text not in self.output():
            if self.process.poll() is not None:
                raise Failure(f"{self} ended with {self.process.returncode} instead of printing '{text}':\n{self.output()}")
            if time.monotonic() > deadline:
                raise Failure(f"{self} did not print '{text}' within {timeout_s} s:\n{self.output()}")
            time.sleep(0.01)

    def wait(self, timeout_s):
        """Returns the exit code; a Failure if the program is still there after timeout_s (it is stopped then)."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.stop()
            raise Failure(f"{self} did not end within {timeout_s} s:\n{self.output()}") from None
        self.forget()
        return code

    def stop(self, how=signal.SIGTERM, grace_s=5):
        """Asks the program to end, insists after grace_s; returns its exit code."""
        for number, patience in ((how, grace_s), (signal.SIGKILL, 5)):
            if self.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    self.process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(patience)
                break
        if self.whole_group:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self.forget()
        return self.process.returncode

    def forget(self):
        with contextlib.suppress(ValueError):
            _running.remove(self)

    def __str__(self):
        return " ".join(self.argv)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def run(argv, timeout_s, *, check=True, **options):
    """Runs a program to its end and returns (exit code, output); with check, a Failure if the code is not 0. Options as of Running."""
    program = Running(argv, **options)
    with program:
        code = program.wait(timeout_s)
        output = program.output()
    if check and code:
        raise Failure(f"{program} ended with {code}:\n{output}")
    return code, output


@atexit.register
def stop_all():
    for program in reversed(list(_running)):
        program.stop()


def end_on_signals():
    """SIGTERM and SIGHUP unwind like Ctrl-C, so that every `with` cleans up."""
    def unwind(number, _frame):
        raise SystemExit(128 + number)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, unwind)
