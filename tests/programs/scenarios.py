"""Programs that are compared with plain Linux: each generator of a module is a scenario, and what it yields is one line."""

import inspect
import signal
import sys


def run_all(module):
    """Those of the module, or those that the command line names."""
    signal.alarm(100)
    for scenario in vars(module).copy().values():
        if not inspect.isgeneratorfunction(scenario) or scenario.__module__ != module.__name__:
            continue
        if sys.argv[1:] and scenario.__name__ not in sys.argv[1:]:
            continue
        seen = []
        try:
            for observation in scenario():
                seen.append(observation)
        except OSError as problem:
            seen.append(repr(problem))
        print(f"{scenario.__name__}: {seen}", flush=True)
