#!/usr/bin/env python3
"""Breaks one rule of the simulated API server at a time, to see that the differential test notices.

    break_differential.py list              names the rules, and the step that should notice
    break_differential.py break RULE        breaks one; refuses where testbed/src/simulated has changes that are not committed
    break_differential.py mend              git checkout -- testbed/src/simulated
    break_differential.py check             whether every break still fits the text; changes and builds nothing
    break_differential.py all [COMMAND..]   for every rule: break, run, mend; says which went unnoticed

Run it in the root of a clone. The default COMMAND is the differential test with no drawn steps (PORTICO_DIFFERENTIAL_STEPS=0): the
fixed steps and the flows alone are to notice every rule. ONLY='a b' in the environment runs these rules alone. Rules marked (slow) are
noticed by a wait of two minutes. What was found stands in BROKEN.md beside this file.
"""

import os, re, signal, subprocess, sys

AT = "testbed/src/simulated"
TEST = "cargo test -q -p portico-testbed --test differential the_simulated_api_server_answers_as_the_real_one".split()

# name, file, what stands there, what is put in its place, who should notice
RULES = [
    ("generation-on-delete", "delete.rs", "json!(generation + 1)", "json!(generation)", "widget: the DELETE of one that is held"),
    ("marked-with-defaults", "delete.rs", "let mut marked = object.clone();", "let mut marked = (*current.value).clone();",
     "held_widget: the patch that changes nothing after the DELETE"),
    ("no-op-keeps-version", "write.rs", "if after == *current.value && managers", "if after == *current.value && false && managers",
     "widget: the second patch that changes nothing"),
    ("status-leaves-the-rest", "prepare.rs", "        *after = before.clone();", "        let _ = before;",
     "widget: a status patch with a spec and another UID"),
    ("status-not-by-patch", "prepare.rs", "    if resource.has_status {\n        set_or_remove(after", "    if false {\n        set_or_remove(after",
     "held_widget: a status among a change of the spec"),
    ("uid-of-a-patch", "meta.rs", '"namespace", "uid", "creationTimestamp", "deletionTimestamp"', '"namespace", "creationTimestamp", "deletionTimestamp"',
     "widget: a patch for another UID"),
    ("uid-of-a-put", "write.rs", "if !wanted.is_empty() && wanted != found {", "if false && wanted != found {", "secret: a PUT with another UID"),
    ("preconditions-of-a-delete", "delete.rs", ".filter(|wanted| *wanted != found)", ".filter(|wanted| *wanted != found && false)",
     "widget: a DELETE with an old version"),
    ("stale-version", "prepare.rs", "if given != current.to_string() {", "if false && given != current.to_string() {",
     "widget: a status patch with an old version"),
    ("version-needed", "resource.rs", "!matches!(self.builtin, Some(Builtin::Lease | Builtin::Definition) | None)",
     "!matches!(self.builtin, Some(Builtin::Definition) | None)", "lease: a PUT without a version"),
    ("last-finalizer-ends", "prepare.rs", "        && !is_held\n", "        && is_held\n", "widget: a patch of one that is being deleted"),
    ("no-new-finalizers", "meta.rs", "    if is_deleting(before) {\n        let old = finalizers(before);",
     "    if false {\n        let old = finalizers(before);", "widget: a finalizer put on one that is being deleted"),
    ("generation-of-the-spec", "prepare.rs", "if !same_but_metadata(after, before) {", "if false {", "held_widget: another size"),
    ("status-not-by-post", "write.rs", "            if resource.has_status {\n", "            if false {\n", "widget: a POST with a status"),
    ("terminating-namespace", "write.rs", '["phase"] == "Terminating" {', '["phase"] == "Never" {', "begin_to_leave: what comes late"),
    ("namespace-waits", "controllers.rs", "if held || !self.contents(", "if false && held && !self.contents(",
     "release_what_leaves: the namespace is still there"),
    ("terminating-crd", "write.rs", "if resource.terminating {", "if false && resource.terminating {", "end_of_a_crd: what comes late"),
    ("crd-waits", "controllers.rs", 'if !self.contents("", ', 'if false && !self.contents("", ', "end_of_a_crd (slow): what is held goes on being there"),
    ("owners", "controllers.rs", "for (id, key) in dependents {\n            self.soon(Task::Collect(id, key), NOTICE);",
     "for (id, key) in dependents {\n            let _ = (id, key);", "belongings (slow): the dependent goes"),
    ("pruning", "schema.rs", "Others::Unknown => return preserves,", "Others::Unknown => return true,", "widget: a field that nobody knows"),
    ("defaults", "schema.rs", "map.insert(key.clone(), default.clone());", "let _ = default;", "widget: the status of a new one"),
    ("required", "validate.rs", "if new.get(key).is_none() {", "if false && new.get(key).is_none() {", "invalid: no name"),
    ("rules-not-asked", "prepare.rs", "if blocked && resource", "if false && blocked && resource", "widget: a status of the wrong type"),
    ("generated-names", "seam.rs", "(0..5).map", "(0..0).map", "refusals: a POST without a name"),
    ("name-of-one-being-deleted", "refusal.rs", 'if is_deleting { "object is being deleted: " }', 'if false && is_deleting { "object is being deleted: " }',
     "widget: a POST of its name while it is held"),
    ("put-makes-a-lease", "resource.rs", "Some(Builtin::Lease | Builtin::Event))", "Some(Builtin::Event))", "lease: a PUT of one that is not there"),
    ("tls-keys", "builtin.rs", '&& after["type"] == TLS {', '&& false && after["type"] == TLS {', "secret: a certificate without its key"),
    ("events", "builtin.rs", "    if builtin == Builtin::Event {", "    if false {", "event: a count of one"),
    ("metadata-alone", "route.rs", '.contains("as=PartialObjectMetadata")', '.contains("as=Nothing")',
     "held_widget: metadata of one that is being deleted"),
    ("pages-of-one-version", "read.rs", "version => Ok((version.unwrap_or(self.version), key)),", "_ => Ok((self.version, key)),",
     "listings: the second page"),
    ("list-options", "options.rs", "if flaws.is_empty() { Ok(()) }", "if flaws.len() < 9 { Ok(()) }", "listings: a match without a version"),
    ("version-of-a-deletion", "watch.rs", "Stored { version: revision.version, ..", "Stored { version: stored.version, ..",
     "compare_watches: widgets"),
    ("leaving-a-selector", "watch.rs", "let after = after.filter(|object| self.selector.matches(object));",
     "let after = after.filter(|object| before.is_some() || self.selector.matches(object));", "compare_watches: ConfigMaps"),
    ("bookmarks", "watch.rs", "(due > now).then_some(due)", "(due > now).then_some(due).filter(|_| false)", "hear: a watch of bookmarks alone"),
    ("initial-events", "options.rs", "    request.is_set(INITIAL)\n", "    request.is_set(INITIAL) && false\n",
     "hear: a watch that begins with what is there"),
    ("end-of-the-initial-events", "watch.rs", 'metadata["annotations"] = json!', 'metadata["notes"] = json!', "hear: the bookmark after what was there"),
    ("expired", "watch.rs", "if version < oldest {", "if version < oldest && version > 9 {", "hear: a watch from version 1"),
]


def fits(rule):
    name, file, old, new, _ = rule
    text = open(f"{AT}/{file}").read()
    if text.count(old) != 1:
        return f"{name}: {file} has this {text.count(old)} times, not once: {old!r}"
    return None


def spoil(rule):
    name, file, old, new, _ = rule
    if why := fits(rule):
        return why
    path = f"{AT}/{file}"
    text = open(path).read()
    open(path, "w").write(text.replace(old, new))
    return None


def mend():
    subprocess.run(["git", "checkout", "-q", "--", AT], check=True)


def clean():
    changed = subprocess.run(["git", "status", "--porcelain", "--", AT], capture_output=True, text=True, check=True).stdout
    if changed.strip():
        sys.exit(f"{AT} has changes that are not committed:\n{changed}")


def all_of_them(command):
    clean()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    env = {"PORTICO_DIFFERENTIAL_STEPS": "0", **os.environ}
    only = os.environ.get("ONLY", "").split()
    left = []
    for rule in RULES:
        if only and rule[0] not in only:
            continue
        if why := spoil(rule):
            left.append(why)
            continue
        try:
            done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        finally:
            mend()
        if done.returncode == 0:
            left.append(rule[0])
            print(f"UNNOTICED {rule[0]}", flush=True)
        elif re.search(r"^error(\[E|: could not compile)", done.stdout, re.M):
            left.append(f"{rule[0]} does not compile")
            print(f"NO BUILD  {rule[0]}\n{done.stdout[-2000:]}", flush=True)
        else:
            found = re.search(r"(step \d+: the answers differ at.*|the watch of .* differs at.*|.*(told of more|differs at|waited too long|is told|waits for what is held).*|.*panicked.*)", done.stdout)
            print(f"noticed   {rule[0]:28} {found.group(0)[:140] if found else '?'}", flush=True)
    if left:
        sys.exit("left: " + ", ".join(left))
    print("all noticed")


if not os.path.isdir(AT):
    sys.exit(f"there is no {AT} here")
match sys.argv[1:]:
    case [] | ["list"]:
        for name, *_, who in RULES:
            print(f"{name:28} {who}")
    case ["check"]:
        bad = [why for rule in RULES if (why := fits(rule))]
        print("\n".join(bad) or f"{len(RULES)} rules fit")
        sys.exit(bool(bad))
    case ["break", name]:
        clean()
        chosen = [rule for rule in RULES if rule[0] == name] or sys.exit(f"there is no rule {name}")
        sys.exit(spoil(chosen[0]))
    case ["mend"]:
        mend()
    case ["all", *command]:
        all_of_them(command or TEST)
    case _:
        sys.exit("usage: break_differential.py list | break RULE | mend | check | all [COMMAND..]")
