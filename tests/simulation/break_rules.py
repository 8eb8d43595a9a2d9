#!/usr/bin/env python3
"""Breaks the engine's protective rules one at a time, to see that the simulation notices, and how soon.

    break_rules.py list                     names the rules, and what breaks each
    break_rules.py check                    whether every edit still fits the sources as they are now; changes and builds nothing
    break_rules.py run [RULE...] [--seeds N] [--from S] [--scratch DIR] [--target DIR] [--release]
    break_rules.py elsewhere [RULE...] [--scratch DIR] [--target DIR]

`run` works in a git worktree of HEAD (--scratch, by default target/break; gone when it ends) and builds into --target (by default
CARGO_TARGET_DIR, else target/break-target), so that the sources here are never touched; what is not committed is not in it. For every
rule, or those that are named: one edit, `cargo build`, then worlds from seed S on (1), in batches that end at 50, 200, 1000 and 5000
worlds (or at N), up to the first batch in which a law is broken. Of that batch the smallest failing seed counts, but only one that the
unbroken program passes: what fails anyway proves nothing. Each result replaces the rule's row in BROKEN.md at once, so that a run may
be cut short and go on later with the rules that are left. Exits with 1 where a rule went unnoticed or an edit did not build.

Rules in ELSEWHERE are not for worlds: `run` leaves them out unless they are named. `elsewhere` breaks them, or those of them that are
named, in the same way, runs the one test that is to notice, and writes into BROKEN.md whether it failed, and after how many seconds. A
test that fails unbroken proves nothing, so each is run on the whole sources first. Behaviour and process tests start a control plane:
where its binaries are neither in KUBEBUILDER_ASSETS nor in the user's cache folder, the first test builds them, which takes minutes and
a Go toolchain. Exits with 1 where a test did not notice, or says nothing.

A rule (broken_rules.py) is a name, what is broken in words, and its edits: a file below src/, the text that stands there exactly once, and what is put in
its place. The edits only have to compile: warnings are expected. One that goes unnoticed is a hole in the worlds, or changes nothing.
"""
import argparse, os, re, shutil, signal, subprocess, sys, time
from contextlib import contextmanager
from pathlib import Path

sys.dont_write_bytecode = True
from broken_rules import ELSEWHERE, RULES
from broken_table import Table
from broken_tests import CARGO, NoBuild, try_test

ROOT = Path(__file__).resolve().parents[2]
BATCHES = [50, 200, 1000, 5000]
PROGRAM = "portico-simulate"
MARK = ".made-by-break-rules"
TABLE = Table(Path(__file__).resolve().with_name("BROKEN.md"), RULES, ELSEWHERE)


def misfits(rule, root):
    """Which edits do not fit the sources below `root`, in words."""
    name, _, *edits = rule
    for file, old, new in edits:
        path = root / "src" / file
        count = path.read_text().count(old) if path.is_file() else 0
        if count != 1 or old == new:
            yield f"{name}: {file} has this {count} times, not once: {old!r}"


def apply(rule, root):
    for file, old, new in rule[2:]:
        path = root / "src" / file
        path.write_text(path.read_text().replace(old, new))


def git(*arguments, cwd=ROOT):
    return subprocess.run(["git", *arguments], cwd=cwd, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def build(args, name):
    """Builds the worktree, and keeps the program under a name of its own."""
    command = ["cargo", "build", "-q", "-p", "portico_simulation"] + ["--release"] * args.release
    env = {**os.environ, "CARGO_TARGET_DIR": str(args.target)}
    done = subprocess.run(command, cwd=args.scratch, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        errors = re.findall(r"^error.*(?:\n.+){0,8}", done.stderr, re.M)
        raise NoBuild("\n".join(errors[:3]) or done.stderr[-2000:])
    kept = args.target / name
    shutil.copy2(args.target / ("release" if args.release else "debug") / PROGRAM, kept)
    return kept


def simulate(program, first, worlds):
    """The failing seeds that the program shows, smallest first, each with what was broken first in it."""
    command = [str(program), "--no-shrink", "--no-aim", "--from", str(first), "--seeds", str(worlds)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    if done.returncode == 0:
        return []
    if hangs := re.search(r"^seed (\d+) hangs", done.stderr, re.M):
        return [(int(hangs[1]), "the world hangs")]
    shown = done.stdout.partition(" in which a law was broken:\n")[2].partition("\n== ")[0]
    found = re.findall(r"^  seed (\d+): (.*)$", shown, re.M)
    if not found:
        return [(first, f"the program ends with {done.returncode}: {done.stderr.strip()[-200:]}")]
    return [(int(seed), re.split(r" at \d+ ms: ", what)[0]) for seed, what in found]


def search(broken, whole, first, most):
    """The first seed that fails only because of the edit, with the law; none where there is no such seed."""
    done = 0
    for end in [*(batch for batch in BATCHES if batch < most), most]:
        for seed, law in simulate(broken, first + done, end - done):
            if not simulate(whole, seed, 1):
                return seed, law
            print(f"          seed {seed} fails unbroken, too: {law}", flush=True)
        done = end
    return None


def drop_worktree(scratch):
    """Removes a worktree that a run of this script made, and no other."""
    if (scratch / MARK).exists():
        git("worktree", "remove", "--force", str(scratch))


def chosen(args, rules):
    """Those of these rules that are named; all of them where none is."""
    known = {rule[0]: rule for rule in rules}
    if strange := [name for name in args.rules if name not in known]:
        sys.exit(f"there is no rule {', '.join(strange)} here")
    return [known[name] for name in args.rules]


@contextmanager
def worktree(args, *sources):
    """A scratch copy of HEAD in a worktree, for as long as it lasts; says which commit that is."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    args.scratch, args.target = args.scratch.resolve(), args.target.resolve()
    if changed := git("status", "--porcelain", "--", "src", "sandbox", "testbed", *sources):
        print(f"not in the worktree, because it is not committed:\n{changed}", flush=True)
    drop_worktree(args.scratch)
    if args.scratch.exists():
        sys.exit(f"{args.scratch} is there already, and was not made by this script")
    args.target.mkdir(parents=True, exist_ok=True)
    git("worktree", "add", "--quiet", "--force", "--detach", str(args.scratch), "HEAD")
    (args.scratch / MARK).touch()
    try:
        yield git("rev-parse", "--short", "HEAD", cwd=args.scratch)
    finally:
        drop_worktree(args.scratch)


@contextmanager
def broken(rule, root):
    """One rule broken in the scratch copy, for as long as it lasts."""
    apply(rule, root)
    try:
        yield
    finally:
        git("checkout", "-q", "--", ".", cwd=root)


def run(args):
    rules = chosen(args, RULES) or [rule for rule in RULES if rule[0] not in ELSEWHERE]
    left = []
    with worktree(args, "tests/simulation/src") as commit:
        try:
            whole = build(args, f"{PROGRAM}-whole")
        except NoBuild as error:
            sys.exit(f"the unbroken sources do not build:\n{error}")
        for rule in rules:
            name, started = rule[0], time.monotonic()
            if bad := list(misfits(rule, args.scratch)):
                print("MISFIT   ", *bad, sep="\n  ", flush=True)
                left.append(name)
                continue
            try:
                with broken(rule, args.scratch):
                    found = search(build(args, f"{PROGRAM}-broken"), whole, args.first, args.seeds)
            except NoBuild as error:
                print(f"NO BUILD  {name}\n{error}", flush=True)
                TABLE.write_row(rule, "the edit does not compile", "", commit)
                left.append(name)
                continue
            took = f"{time.monotonic() - started:.0f} s"
            if found:
                seed, law = found
                worlds = seed - args.first + 1
                print(f"noticed   {name:20} {law}, after {worlds} worlds (seed {seed}, {took})", flush=True)
                TABLE.write_row(rule, f"{law} (seed {seed})", worlds, commit)
            else:
                print(f"UNNOTICED {name:20} {args.seeds} worlds, {took}", flush=True)
                TABLE.write_row(rule, "", f"unnoticed after {args.seeds}", commit)
                left.append(name)
    sys.exit(f"left: {', '.join(left)}" if left else None)


def elsewhere(args):
    rules = [rule for rule in RULES if ELSEWHERE.get(rule[0], (None, None))[1]]
    left, passed = [], {}
    with worktree(args, "tests") as commit:
        # First all that stay whole: that takes one build for all tests of a program.
        rules = chosen(args, rules) or rules
        for test in dict.fromkeys(ELSEWHERE[rule[0]][1] for rule in rules):
            try:
                passed[test], _, words = try_test(args, test)
            except NoBuild as error:
                sys.exit(f"the unbroken sources do not build:\n{error}")
            if not passed[test]:
                print(f"FAILS ANYWAY {test}: {words}", flush=True)
        for rule in rules:
            name, test = rule[0], ELSEWHERE[rule[0]][1]
            bad = list(misfits(rule, args.scratch))
            if bad or not passed[test]:
                print("MISFIT   ", *bad, sep="\n  ", flush=True) if bad else TABLE.write_result(name, "the test fails unbroken, too", commit)
                left.append(name)
                continue
            try:
                with broken(rule, args.scratch):
                    passes, took, words = try_test(args, test)
            except NoBuild as error:
                print(f"NO BUILD  {name}\n{error}", flush=True)
                TABLE.write_result(name, "the edit does not compile", commit)
                left.append(name)
                continue
            if passes:
                print(f"UNNOTICED {name:20} {took} s", flush=True)
                TABLE.write_result(name, "unnoticed", commit)
                left.append(name)
            else:
                print(f"noticed   {name:20} after {took} s: {words}", flush=True)
                TABLE.write_result(name, f"noticed after {took} s", commit)
    sys.exit(f"left: {', '.join(left)}" if left else None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list")
    commands.add_parser("check")
    runs = commands.add_parser("run")
    runs.add_argument("rules", nargs="*", metavar="RULE")
    runs.add_argument("--seeds", type=int, default=BATCHES[-1], help="at most so many worlds a rule")
    runs.add_argument("--from", type=int, default=1, dest="first", help="the first seed")
    runs.add_argument("--release", action="store_true", help="a slower build, and more worlds a second")
    tests = commands.add_parser("elsewhere")
    tests.add_argument("rules", nargs="*", metavar="RULE")
    for command in (runs, tests):
        command.add_argument("--scratch", type=Path, default=ROOT / "target/break", help="where the worktree is made")
        command.add_argument("--target", type=Path, default=Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target/break-target"))
    args = parser.parse_args()
    # Cargo takes what was built of the broken copy for the project's own: both have the same paths below their roots.
    if getattr(args, "target", None) and args.target.resolve() == ROOT / "target":
        parser.error("--target is the project's own: what is built there of a broken rule would be run as the engine; leave it out")
    if args.command == "list":
        for name, words, *edits in RULES:
            why, test = ELSEWHERE.get(name, (None, None))
            note = f"; not for worlds, needs {why}: {test or 'no test yet'}" if why else ""
            print(f"{name:20} {words} ({', '.join(dict.fromkeys(file for file, *_ in edits))}){note}")
    elif args.command == "check":
        bad = [why for rule in RULES for why in misfits(rule, ROOT)]
        bad += [f"{name}: there is no such rule" for name in ELSEWHERE if name not in {rule[0] for rule in RULES}]
        tests = [(name, *test.split(": ")) for name, (_, test) in ELSEWHERE.items() if test]
        bad += [f"{name}: {file} has no {test}" for name, file, test in tests if f"fn {test}(" not in (ROOT / "tests" / file).read_text()]
        bad += [f"{name}: cargo's arguments for {file} are not known" for name, file, _ in tests if file.rpartition("/")[0] not in CARGO]
        print("\n".join(bad) or f"{len(RULES)} rules fit")
        sys.exit(bool(bad))
    elif args.command == "elsewhere":
        elsewhere(args)
    else:
        run(args)


if __name__ == "__main__":
    main()
