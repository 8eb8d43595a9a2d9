"""Runs one test in the scratch copy of break_rules.py."""
import os, re, signal, subprocess, sys, time

# How cargo finds the tests of a folder below tests/.
BEHAVIOUR = ["-p", "portico", "--test", "behaviour"]
PROCESS = ["-p", "portico", "--test", "process"]
REGRESSIONS = ["-p", "portico_simulation", "--test", "regressions"]
CARGO = {"behaviour": BEHAVIOUR, "process": PROCESS, "simulation/tests/regressions": REGRESSIONS}

# No test takes longer than so many seconds, a control plane that starts before it included.
LONGEST = 900


class NoBuild(Exception):
    pass


def cargo(args, *arguments, within=None):
    """Runs cargo in the scratch copy, and says how it ended and what it said; none where it took longer than it may."""
    env = {**os.environ, "CARGO_TARGET_DIR": str(args.target)}
    # A group of its own: where a test hangs, its process goes with cargo's.
    program = subprocess.Popen(["cargo", *arguments], cwd=args.scratch, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
    try:
        said, _ = program.communicate(timeout=within)
        return program.returncode, said
    except subprocess.TimeoutExpired:
        return None, ""
    finally:
        if program.poll() is None:
            os.killpg(program.pid, signal.SIGKILL)
            program.wait()


def try_test(args, test):
    """Whether a test passes in the scratch copy as it is now, after how many seconds, and its last words where it does not."""
    file, name = test.split(": ")
    folder, _, module = file.removesuffix(".rs").rpartition("/")
    whole = name if module == "main" else f"{module}::{name}"
    code, said = cargo(args, "test", *CARGO[folder], "--no-run")
    if code:
        errors = re.findall(r"^error.*(?:\n.+){0,8}", said, re.M)
        raise NoBuild("\n".join(errors[:3]) or said[-2000:])
    started = time.monotonic()
    code, said = cargo(args, "test", *CARGO[folder], "--", "--exact", whole, within=LONGEST)
    took = round(time.monotonic() - started)
    if code is not None and not re.search(r"^running 1 test$", said, re.M):
        sys.exit(f"cargo did not run {test}:\n{said[-2000:]}")
    if re.search(r"^test result: ok\. 1 passed", said, re.M):
        return True, took, ""
    words = re.search(r" panicked at .*\n(.*)", said)
    return False, took, words[1] if words else f"it ended with {code}"
