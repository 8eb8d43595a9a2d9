"""BROKEN.md: what break_rules.py found out so far."""
import re

HEAD = """# What the simulation notices

Written by `break_rules.py run`, which breaks one protective rule of the engine at a time in a scratch copy and counts the
worlds until a law is broken.

"""
COLUMNS = "| rule | edit | law noticed | worlds needed | commit |\n|---|---|---|---|---|\n"


def cell(text):
    return " ".join(text.replace("|", "\\|").split())


class Table:
    def __init__(self, file, rules, elsewhere):
        self.file, self.rules, self.elsewhere = file, rules, elsewhere

    def named(self, name):
        """The beginning of what is said of a rule that is not for worlds; the result follows."""
        why, test = self.elsewhere[name]
        return f"- `{name}`: needs {why}; {test or 'no test yet'}"

    def read(self):
        """What stands above the table, its rows, and the results of tests; one of another test than now is forgotten."""
        text = self.file.read_text() if self.file.exists() else ""
        head = text.partition(COLUMNS)[0] or HEAD
        rows = {name: row for row, name in re.findall(r"^(\| `([^`]+)` .*)$", text, re.M)}
        starts, lines = {name: self.named(name) for name in self.elsewhere}, text.splitlines()
        results = {name: line.removeprefix(start) for name, start in starts.items() for line in lines if line.startswith(f"{start};")}
        return head, rows, results

    def write(self, head, rows, results):
        table = "".join(rows[rule[0]] + "\n" for rule in self.rules if rule[0] in rows)
        others = "".join(f"{self.named(name)}{results.get(name, '')}\n" for name in self.elsewhere)
        self.file.write_text(f"{head}{COLUMNS}{table}\nWhat no world can notice, and which test does:\n\n{others}")

    def write_row(self, rule, law, worlds, commit):
        """Puts one result into the table; the rows of other rules stay."""
        head, rows, results = self.read()
        name, words, *edits = rule
        files = ", ".join(dict.fromkeys(f"`{file}`" for file, *_ in edits))
        rows[name] = f"| `{name}` | {files}: {cell(words)} | {cell(law)} | {worlds} | {commit} |"
        self.write(head, rows, results)

    def write_result(self, name, result, commit):
        """Puts what a test made of a broken rule into the list below the table."""
        head, rows, results = self.read()
        results[name] = f"; {result} ({commit})"
        self.write(head, rows, results)
