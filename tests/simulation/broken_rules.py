"""The protective rules of the engine that break_rules.py breaks, and those of them that are not for worlds."""


def never(file, condition):
    """An `if` whose condition does not hold any more."""
    assert "||" not in condition, condition
    return file, f"if {condition}", f"if false && {condition}"


def always(file, condition):
    """An `if` whose condition always holds."""
    return file, f"if {condition}", f"if true || {condition}"


LISTED = """        let path = &place.path;
        if !place.is_alone() {
            let listed = items(self.ops, link, &place.listing, None, &mut self.requests).await;
            let shown = |item: &Value| self.ops.id(item) == path.last().as_deref();
            if listed.is_ok_and(|items| !items.iter().any(shown)) {
                return Ok(Read::Absent);
            }
        }
"""
GET = "        match self.send(link, Call::new(Method::GET, path)).await {"
ABSENT = "place.parent.clone() else { return Ok(Read::Absent)"
PAGE = "self.send(Call::new(Method::GET, path).query(query)).await"
FIRST_PAGES = f"""match {PAGE} {{
                Err(_) if number > 1 => return Ok(Some(items)),
                answer => answer?,
            }}"""
FINALIZERS = '"uid": object.uid(), "resourceVersion": object.metadata.resource_version, "finalizers": finalizers'

RULES = [
    # Looking before making.
    ("look-up", "nothing is looked up before a create", ("engine/identify.rs", "            None => self.by_lookup(resolved).await,",
        "            None if resolved.writes && !resolved.shape.is_given() => Ok(Identified::default()),\n"
        "            None => self.by_lookup(resolved).await,")),
    ("adoption", "a stranger's object of the name is taken over without the user's word",
        ("engine/identify.rs", "let may = resolved.common.", "let may = true || resolved.common.")),
    ("intent", "the intent is not written before the POST", never("engine/create.rs", "resolved.identity == Identity::Intent {")),
    ("intent-kept", "an answer that says nothing definite clears the intent too", always("engine/create.rs", "error.is_definite() {")),
    ("intent-action", "an action is started without an intent",
        ("engine/action.rs", "self.write_intent(resolved, &body, Some(seen)).await?;", "let _ = seen;")),
    ("intent-update", "an update that is not to be repeated is sent without a note",
        ("engine/update.rs", "let is_repeatable = self.ops.is_repeatable();", "let is_repeatable = true;")),
    ("settle", "an older intent is not settled", ("engine/identify.rs", "match self.settle(resolved).await? {", "match None {")),
    ("wait", "an older intent is settled without the wait of step 4", never("engine/create.rs", "Instant::now() < due {")),
    ("wait-marked", "a create of a marked kind does not wait for the one before it", ("engine/create.rs",
        "|until| *until > Instant::now() && !repeatable", "|until| false && *until > Instant::now() && !repeatable")),
    ("wait-action", "an older intent of an action is settled without the wait", never("engine/action.rs", "Instant::now() < due {")),
    ("wait-update", "an older update that is not to be repeated is not waited for", never("engine/update.rs", "Instant::now() < due {")),
    ("equal-to-sent", "an open create takes whatever is listed, not only what equals what it sent", ("engine/create.rs",
        "if digest(&intent.fields, &item) == intent.digest", "if (true || digest(&intent.fields, &item) == intent.digest)")),
    ("ambiguous", "of several objects that an open create may have made the first is taken",
        ("engine/create.rs", "            [object] => {", "            [object, ..] => {")),
    ("moved-record", "what an open create made is recorded where the spec would have it by now", ("engine/create.rs",
        "self.record_at(resolved, &id, &place, false);", "self.record(resolved, &id, &place.path, false);")),
    ("late-create", "a create that was given up is not looked for any more", ("engine/late.rs",
        ".cloned() else { return Ok(()) };", ".cloned().filter(|_| false) else { return Ok(()) };")),
    ("finalizer-first", "the finalizer is not put there before a create", ("engine/create.rs",
        "        self.hold().await?;\n        let link =", "        let link =")),
    ("made-for-nobody", "what was made for a resource that is gone meanwhile is left", never("engine/keep.rs", "self.made {")),

    # Preconditions of writes to Kubernetes.
    ("uid", "a status is written without the UID, and the answer's is not compared",
        ("engine/kubernetes.rs", 'let mut metadata = json!({ "uid": object.uid() });', "let mut metadata = json!({});"),
        always("engine/kubernetes.rs", "answer.uid() == object.uid() {")),
    ("uid-answer", "only the UID of the answer to a status write is not compared", always("engine/kubernetes.rs", "answer.uid() == object.uid() {")),
    ("uid-finalizers", "finalizers are written without UID and version", ("engine/kubernetes.rs", FINALIZERS, '"finalizers": finalizers')),
    ("uid-secrets", "Secrets are deleted without UID and version",
        ("engine/secrets.rs", "preconditions: Some(preconditions)", "preconditions: Some(preconditions).filter(|_| false)")),
    ("uid-record", "a record or an intent of another UID counts",
        ("engine/status.rs", "r.owner == owner && r.uid == uid", "r.owner == owner && (true || r.uid == uid)"),
        ("engine/status.rs", "i.owner == owner && i.uid == uid", "i.owner == owner && (true || i.uid == uid)")),
    ("version-intent", "an intent is written over what others wrote in between", ("engine/create.rs",
        "self.write_status(Precondition::Version).await\n", "self.write_status(Precondition::Uid).await\n")),
    ("version-id", "an id is written over what another process wrote in between", never("engine/keep.rs", "self.sent.is_some() { Precondition")),

    # What a pass sees.
    ("own-writes", "the answer to an own write is not seen by the next pass", ("engine/cache.rs",
        "Some(old) if old.uid() == object.uid() && old.version() <", "Some(old) if false && old.uid() == object.uid() && old.version() <")),
    ("old-events", "an event older than what is known is believed", ("engine/cache.rs",
        "Some(old) if old.uid() == object.uid() && old.version() >=", "Some(old) if false && old.uid() == object.uid() && old.version() >=")),
    ("barrier", "passes begin before the stores are filled", ("engine/operator.rs",
        "() = self.health.filled_up() => {},", "() = std::future::ready(()) => {},")),
    ("lease", "writes do not ask the lease", never("remote/link.rs", "call.method != Method::GET && !(self.settings.may_write)")),

    # Whoever fails alone.
    ("panic", "a panic ends the worker and is nobody's failure", ("engine/operator.rs",
        "let pass = AssertUnwindSafe(run(&engine, &key, cause)).catch_unwind().await;",
        "let pass: Result<Outcome, Box<dyn std::any::Any + Send>> = Ok(run(&engine, &key, cause).await);")),

    # Absence.
    ("get-absence", "what a listing does not show counts as absent, without a GET",
        ("engine/observe.rs", f"        let path = &place.path;\n{GET}", LISTED + GET)),
    ("parent-answers", "a 404 counts as absent though the parent may be gone",
        ("engine/observe.rs", ABSENT, ABSENT.replace(" else", ".filter(|_| false) else"))),
    ("listing-contradicts", "a GET's absence counts though the listing shows the object", never("engine/observe.rs", "there.contains(path) {")),
    ("own-create-lags", "a read that lags behind an own create is believed",
        ("engine/observe.rs", "made.filter(|_| resolved", "made.filter(|_| false && resolved")),
    ("own-deletes", "what an answer shows from before an own DELETE is taken over",
        ("engine/gone.rs", ".copied().filter(|until| *until > Instant::now())", ".copied().filter(|_| false)")),
    ("late-crd", "what comes with a CRD that was missing at the start was there before", ("engine/watch.rs",
        "                first = false;\n                health.missing", "                health.missing")),
    ("page-failed", "a page that fails ends a listing as if it were complete",
        ("remote/pages.rs", f"let body = {PAGE}?;", f"let body = {FIRST_PAGES};")),
    ("page-unread", "only the first page of a listing is read", always("remote/pages.rs", "!page.more {")),
    ("mass-absence", "objects that vanish together are made again", ("engine/absence.rs",
        "    missing >= 2 && (missing", "    false && missing >= 2 && (missing")),
    ("account", "a new credential is not asked whether its account holds the objects", always("engine/connect_account.rs",
        "is_pinned || is_same_secret || proven")),
    ("account-moved", "a record of another account is used",
        never("engine/identify.rs", "recipe.account != resolved.link().account() {"), never("engine/delete.rs", "known.link.account() != account {")),

    # Whose it is.
    ("claims", "nobody claims an object before it exists", always("engine/claim.rs", "resolved.shape == Shape::Action {")),
    ("displaced", "the record of what is gone goes before the record of what has its name", ("engine/standing.rs",
        "|memory| memory.displaced == ", "|memory| false && memory.displaced == ")),
    ("recorded-by-another", "an object that another resource has recorded counts as free", ("engine/claim.rs",
        "claimants.filter(|(_, o)| o.uid()", "claimants.filter(|(_, o)| false && o.uid()")),
    ("mark", "another's mark is not respected", always("engine/identify.rs", "self.ops.identity() != Identity::Mark || !resolved.writes {")),
    ("mark-delete", "another owner's mark does not stop a delete",
        never("engine/delete.rs", "let Mark::Foreign(_) = mark::read(&object, &self.engine.owner, self.key) {")),
    ("mark-duplicates", "a duplicate is removed whatever mark it carries by now", never("engine/duplicates.rs", "mark::uid(&object,")),
    ("observe", "Observe does not keep from writing", ("engine/resolve.rs", "let writes = common.", "let writes = true || common.")),

    # Secrets.
    ("output-first", "the id is sent before the output Secret holds the secret", ("engine/output.rs",
        "self.write_output(resolved, Some(secret.expose_secret()), None, rotated).await?;", "let _ = rotated;")),
    ("output-rotation", "a rotated secret is sent before the output Secret holds it", ("engine/output.rs",
        "self.write_output(resolved, present.as_deref(), Some(next.expose_secret()), Some(wish)).await?;", "let _ = (present, wish);")),
    ("output-strangers", "a stranger's Secret is written over", always("engine/output_claim.rs", "self.owns_secret(key, object.uid(), stored) => return")),
    ("output-taken", "an output Secret that was taken away is anybody's", ("engine/output_claim.rs",
        "match self.holder_of_output(key, object, name) {", "match self.holder_of_output(key, object, name).filter(|_| false) {")),
    ("digest", "a write-only value counts as sent, whatever its digest", always("engine/resolve.rs", "looks || status.digests.get(&path)")),
    ("digest-lost", "a write-only value never counts as sent", ("engine/resolve.rs",
        "if looks || status.digests.get", "if looks || false && status.digests.get")),
    ("escrow", "the credential that works is not kept for deletions", ("engine/escrow.rs",
        "        if self.kept(uid) == kept {", "        self.note_kept(uid, kept.clone());\n        if self.kept(uid) == kept {")),
    ("escrow-first", "nothing is kept before a create", never("engine/escrow_first.rs", "!is_kept() {")),
    ("escrow-erased", "what was kept for deletions is not erased", always("engine/escrow.rs", "self.kept() == Kept::Nothing && late.is_none() {")),

    # The sweep. It keeps no digests: freshness is that only an owner's own look says what is in order.
    ("sweep-absent", "what a sweep does not see is in order", ("engine/sweep.rs",
        "let Some(item) = item else { return Ok(true) };", "let Some(item) = item else { return Ok(false) };")),
    ("sweep-differs", "what a sweep sees to differ is in order", ("engine/sweep.rs",
        "|| ((parts.is_empty() || !leaves) && is_news(", "|| (false && (parts.is_empty() || !leaves) && is_news(")),
    ("sweep-looks", "an owner that a sweep wakes trusts its status instead of looking", ("engine/sweep.rs",
        "self.engine.queue.push(&one.key, Lane::Sweep, Cause::Look);", "self.engine.queue.push(&one.key, Lane::Sweep, Cause::Start);")),
    ("sweep-duplicates", "a sweep overlooks duplicates", never("engine/sweep.rs", "one.status.id.as_deref() != Some(*id) {")),
    ("sweep-late", "a sweep overlooks the late effect of a create", never("engine/sweep.rs", "late_ones(one, items) {")),
    ("in-order", "after a restart whatever was accepted once is in order", ("engine/order.rs",
        "settled && answered && handed_out && held && sent",
        "(true || settled && answered && handed_out && held && sent)")),

    # Deletion.
    ("crd", "the CRD is not read before a remote delete", never("engine/delete.rs", "!self.engine.kube.is_crd_live(self.ops.info()).await? {")),
    ("crd-replace", "the CRD is not read before what lives on is deleted to be made again",
        never("engine/remove.rs", "!self.engine.kube.is_crd_live(self.ops.info()).await? {")),
    ("delete-404", "a 404 to a DELETE counts as gone", ("engine/remove.rs", "            Ok(_) => true,",
        "            Ok(_) => true,\n            Err(ApiError::Absent(_)) if true => false,")),
    ("delete-settles", "a deletion leaves an open intent as it is",
        never("engine/delete.rs", "let Some(intent) = self.open_create() {")),
    ("delete-waits", "a deletion settles an intent without the wait", never("engine/delete.rs", "Instant::now() < due {")),
    ("delete-waits-marked", "a deletion looks for its mark or id without the wait", ("engine/seek.rs",
        "unsettled.filter(|until| *until > Instant::now()) {", "unsettled.filter(|until| false && *until > Instant::now()) {")),
    ("delete-waits-recorded", "a deletion does not ask the record for another create", never("engine/late.rs", "recipe.unsettled && memory.unsettled.is_none() {")),
    ("delete-unverified", "a deletion goes through a credential that was never tried", never("engine/delete.rs", "!known.verified {")),
    ("retain", "Retain deletes", never("engine/delete.rs", "self.ops.deletion(&lifecycle) == Deletion::Retain {")),
    ("children", "a parent by path goes before its dependents", always("engine/below.rs", "children.is_empty() {")),
    ("goes-first", "what has to go first is not waited for", always("engine/below.rs", "first.is_empty() {")),
    ("goes-first-below", "what lies below and has to go first is not waited for",
        ("engine/below.rs", "self.wait_for_those_that_go_first(&below.going)?;", "let _ = &below.going;")),
    ("goes-first-seekers", "those that find the way to their object through this one alone are not waited for",
        ("engine/delete.rs", "self.wait_for_those_that_go_first(&self.seekers())?;", "let _ = self.seekers();")),
    ("finalizer-last", "the finalizer goes before the object", ("engine/delete.rs", "let ended = self.end_object().await?;",
        "self.let_go().await?;\n        let ended = self.end_object().await?;")),
    ("begun", "a connection goes while something is being taken over through it", ("engine/connect_end.rs",
        ".chain(begun).collect()", ".chain(begun.into_iter().take(0)).collect()")),
    ("connection-held", "a connection goes while it is in use", always("engine/connect_end.rs", "users.is_empty() || self.object.")),

    # Found by reading, each seldom drawn.
    ("own-deletes-before", "what an earlier process may have deleted is taken over right after a start",
        ("engine/gone.rs", "|| resolved.shape.is_given() || !may_be_ours {", "|| resolved.shape.is_given() || !may_be_ours || true {")),
    ("claim-derived", "whoever is bound to an id takes no note of who derives it",
        ("engine/claim.rs", "resolved.id.as_deref() == Some(id) ||", "resolved.id.is_some() ||")),
    ("misnamed", "a connection that is named and not there counts as known", ("engine/seek.rs",
        "connection_of(ops, key, object).is_some_and(is_there)", "connection_of(ops, key, object).is_some()")),
    ("below-unrecorded", "what lives below something without a record is not waited for", ("engine/delete.rs",
        "        self.wait_for_what_is_below(&place.path).await?;\n        let link = known.link.clone();\n        self.delete_object",
        "        let link = known.link.clone();\n        self.delete_object")),
    ("told-of-secrets", "who uses a Secret is not told of what Portico writes into it", ("engine/core.rs",
        "} else if answer.is_ok() {", "} else if false && answer.is_ok() {")),
    ("uninstalled", "what went with its CRD while its watch was broken stays known", ("engine/watch.rs",
        "if known.is_empty() || !matches!(", "if true || known.is_empty() || !matches!(")),
    ("kept-before", "what an earlier process sent to be kept is not waited for", ("engine/connect_end.rs",
        "settles_at(window).filter(|_| ", "settles_at(window).filter(|_| false && ")),
    ("turn", "who waits for its turn asks the API whether it has come", ("engine/action.rs",
        "if begins && self.is_anothers_turn", "if false && begins && self.is_anothers_turn")),
]


# What no world can notice, because what the rule is for is never drawn, with the test that notices it: its file below tests/, whose folder
# says how cargo runs it (broken_tests.py), and its name. `run` leaves these out unless they are named. None: nobody notices it yet.
ELSEWHERE = {
    "late-create": ("a process that was paused for longer than every window", "process/paused.rs: a_team_is_one_or_ambiguous_where_the_create_of_a_paused_leader_comes_late"),
    "sweep-late": ("a process that was paused for longer than every window", "process/paused.rs: a_team_is_one_or_ambiguous_where_the_create_of_a_paused_leader_comes_late"),
    "version-id": ("two processes that write at once, one of them paused before", "process/paused.rs: a_team_is_one_or_ambiguous_where_its_leader_was_paused_before_the_create"),
    "made-for-nobody": ("a user who takes Portico's finalizer away",
        "behaviour/duplicates.rs: what_was_made_for_a_resource_whose_finalizer_a_user_took_away_is_removed_again"),
    "uid-answer": ("a status that lands in the next resource of the name, which the finalizer keeps away",
        "behaviour/races.rs: a_status_that_is_meant_for_a_resource_made_before_under_the_name_says_that_it_is_gone"),
    "uid-record": ("a status that names somebody else's object", "behaviour/deletion.rs: a_status_copied_from_a_backup_is_never_used_to_delete"),
    "parent-answers": ("a 404 in the API's own shape while the parent fails", "behaviour/absence.rs: a_team_counts_as_gone_only_while_its_portal_answers"),
    "listing-contradicts": ("an API that lists what its GET does not show, for longer than a create is young",
        "behaviour/absence_more.rs: a_team_that_the_api_lists_and_does_not_return_is_not_made_again"),
    "own-create-lags": ("a GET and a listing that both lag behind a create",
        "behaviour/absence_more.rs: a_team_that_neither_a_get_nor_a_list_shows_yet_is_not_made_twice"),
    "account-moved": ("a connection that is made again with another host or tenant",
        "behaviour/absence_more.rs: a_connection_made_again_to_another_tenant_makes_nothing_there_and_ends_no_deletion"),
    "delete-404": ("a DELETE that is answered 404 while the object is there", "behaviour/accidents_more.rs: a_deletion_that_is_answered_404_is_not_over_while_the_api_shows_the_object"),
    "mark-duplicates": ("two portals with one mark",
        "behaviour/duplicates.rs: a_twin_that_has_become_another_installations_is_left_though_a_list_still_shows_our_mark"),
    "sweep-duplicates": ("two portals with one mark", "behaviour/duplicates.rs: a_second_portal_with_our_mark_is_found_by_a_sweep_and_removed"),
    "goes-first-seekers": ("a connection that never works beside the one that is used",
        "simulation/tests/regressions/creates.rs: a_client_that_goes_with_its_server_does_not_wait_for_a_connection_that_was_never_its_own"),
    "output-taken": ("a Secret taken away between two clients that name it while nobody is there: seldom drawn, as in seed 5007395",
        "simulation/tests/regressions/handed.rs: a_secret_that_was_taken_away_from_a_paused_client_waits_for_it"),
    "delete-waits-recorded": ("a crash and a deletion between two creates of one object: seldom drawn, as in seed 7025041",
        "simulation/tests/regressions/creates.rs: a_server_that_was_made_at_the_second_try_waits_for_the_first_in_the_next_process_too"),
    "late-crd": ("a CRD that is missing when a process begins, and what comes with it is never Ready: seldom drawn, as in seed 9094560",
        "simulation/tests/regressions/told.rs: who_waits_for_a_portal_is_told_of_the_one_that_comes_with_its_crd_after_a_restart"),
    "crd-replace": ("an uninstall in the middle of a pass that moves an object: seldom drawn",
        "simulation/tests/regressions/blamed.rs: what_is_to_move_stays_where_it_is_once_its_kind_is_uninstalled"),
    "displaced": ("a portal that is gone at the API and edited into the name of a younger one, and a restart: seldom drawn, as in seed 10025469",
        "simulation/tests/regressions/displaced.rs: who_has_the_object_of_a_name_goes_before_an_older_one_whose_own_is_gone"),
    "begun": ("a connection that goes while a developer is taken over through it: seldom drawn, as in seed 10026161",
        "simulation/tests/regressions/begun.rs: a_connection_stays_for_what_is_being_taken_over"),
    "own-deletes-before": ("a start within seconds after an own DELETE, and a stale answer",
        "simulation/tests/regressions/earlier.rs: what_an_earlier_process_deleted_is_not_taken_over_by_its_id"),
    "claim-derived": ("a binding to an id that another one derives at this very moment",
        "simulation/tests/regressions/earlier.rs: what_is_found_under_a_derived_id_right_now_is_not_recorded_by_one_that_is_bound_to_it"),
    "misnamed": ("an edit of connectionRef to a name that is not there, which is never drawn",
        "simulation/tests/regressions/misnamed.rs: a_portal_whose_connection_was_misnamed_after_its_create_finds_what_it_made_before_it_goes"),
    "below-unrecorded": ("a client below a server whose create is open", "simulation/tests/regressions/misnamed.rs: a_server_of_an_open_create_waits_for_the_client_that_lives_below_it"),
    "told-of-secrets": ("a Secret that is handed out by one and used by another", "simulation/tests/regressions/untold.rs: who_waits_for_a_secret_that_another_resource_hands_out_is_told_of_it"),
    "uninstalled": ("a watch that is broken while its CRD goes", "simulation/tests/regressions/untold.rs: what_went_with_its_crd_while_its_watch_was_broken_is_in_nobodys_way"),
    "kept-before": ("a crash while a credential is being kept, late, and a connection that goes: seldom drawn, as in seed 12045364",
        "simulation/tests/regressions/leftovers.rs: a_secret_that_an_earlier_process_sent_is_waited_for_before_its_connection_goes"),
    "turn": ("a dozen replays of one portal: seldom drawn, as in seed 12001049",
        "simulation/tests/regressions/told.rs: replays_that_wait_for_their_turn_leave_the_one_that_has_it_a_turn_at_the_gate"),
    "panic": ("a bug", "behaviour/panics.rs: a_pass_that_panics_is_tried_again_with_growing_patience_and_hurts_nobody_else"),
}
