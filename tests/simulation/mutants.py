#!/usr/bin/env python3
"""Writes MUTANTS.md from what cargo-mutants found: mutants.py COMMIT FOLDER...

Each FOLDER is what `cargo mutants --output` was told (.cargo/mutants.toml says how to run it). Of a mutant that several runs
have tried, one that caught it counts: the unit tests run first, and the worlds for those that they let pass.
"""
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
CAUGHT = ("CaughtMutant", "Timeout")
HEAD = """# Which changes of the deciding modules are noticed

Written by `mutants.py` from the results of `cargo mutants` (`.cargo/mutants.toml`): one small change of the engine at a time, and whether
the unit tests, the regression worlds or the short simulation fail. A mutant that does not compile is not viable and counts nowhere. A
mutant under which the tests do not end counts as caught.
"""


def results(folders):
    """The best result of each mutant, and where it is: name -> (summary, file)."""
    best = {}
    for folder in folders:
        outcomes = json.loads((pathlib.Path(folder) / "mutants.out" / "outcomes.json").read_text())["outcomes"]
        for outcome in outcomes:
            if outcome["scenario"] == "Baseline":
                continue
            mutant = outcome["scenario"]["Mutant"]
            old = best.get(mutant["name"], ("", ""))[0]
            if old not in CAUGHT:
                best[mutant["name"]] = (outcome["summary"], mutant["file"])
    return best


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    best = results(sys.argv[2:])
    lines = [HEAD, f"At {sys.argv[1]}:\n", "| module | viable | caught | of them | not viable |", "|---|---|---|---|---|"]
    files = sorted({file for _, file in best.values()})
    total = [0, 0, 0]
    for file in [*files, "all"]:
        if file != "all":
            found = [summary for summary, where in best.values() if where == file]
            caught = sum(summary in CAUGHT for summary in found)
            unviable = found.count("Unviable")
            row = [len(found) - unviable, caught, unviable]
            total = [sum(pair) for pair in zip(total, row)]
        else:
            row = total
        share = f"{100 * row[1] / row[0]:.1f} %" if row[0] else "-"
        lines.append(f"| {file} | {row[0]} | {row[1]} | {share} | {row[2]} |")
    lines.append("\nSurvivors:\n")
    missed = sorted(name for name, (summary, _) in best.items() if summary == "MissedMutant")
    lines += [f"- `{name}`" for name in missed]
    (HERE / "MUTANTS.md").write_text("\n".join(lines) + "\n")
    print(f"{total[1]} of {total[0]} viable mutants are caught, {len(missed)} survive")


main()
