//! Worlds for narrow places: a place is a situation in which a single rule of the engine is all that keeps a law, and which chance alone
//! hardly ever brings about. Each such world is about one place and nothing else, every time a little otherwise. Seed after seed walks
//! through all of them; `break_rules.py` shows that each is noticed where its rule is broken.
use portico_sandbox::Switches;
use serde_json::{Value, json};

use super::{
    Draft, Member,
    rare::{done_once, fault},
    spec::version_id,
};
use crate::{
    laws::sorts::{Shape, referred, sort},
    plan::{Action, Effect, Millis, Plan, Side, Stranger},
    world::{CONSISTENCY, NAMESPACE, REQUEST_TIMEOUT, World},
};

/// One of so many worlds is such a one.
const SHARE: u64 = 20;
/// Which of them.
const WHICH: u64 = 7;

/// When the resource in the middle is made: what it refers to is there.
const MADE: Millis = 4_000;
/// By then it is Ready, however slow its connection may be.
const READY: Millis = 15_000;
/// The operator is not there for so long: longer than a namespace needs to be emptied.
const LONG_DOWN: std::ops::RangeInclusive<Millis> = 15_000..=25_000;
/// When a create takes effect that is later than anybody waits for its answer, and in time for whoever waits for its effect.
const LATE: std::ops::RangeInclusive<Millis> = REQUEST_TIMEOUT + 700..=REQUEST_TIMEOUT + CONSISTENCY - 1_000;
/// How long an answer takes for which whoever sent the request still waits.
const SLOW: std::ops::RangeInclusive<Millis> = 3_000..=REQUEST_TIMEOUT - 500;
/// For so long after it was sent a create without an answer is open.
const OPEN: Millis = REQUEST_TIMEOUT + CONSISTENCY;

/// What happens at a place to a resource of this kind.
type Draw = fn(&mut Draft, &'static str);

/// Kinds of which a create is announced in the status.
const ANNOUNCED: &[&str] = &["PortalTeam", "PortalIdentityProvider", "PortalCustomDomain", "PortalProductVersion"];
/// Kinds of which a create is found again without that, and which need nothing but a connection.
const FOUND_AGAIN: &[&str] = &["Portal", "Consent"];
/// Kinds that are Ready at once, and have nothing that goes on by itself.
const CALM: &[&str] = &["Portal", "PortalTeam", "PortalProductVersion", "Consent", "ConsentAction", "OAuthClient"];

/// Kinds of which a user may have the object made again somewhere else.
const MOVABLE: &[&str] =
    &["PortalTeam", "PortalIdentityProvider", "PortalCustomDomain", "PortalProductVersion", "OAuthClient"];

/// All places, each with the kinds that come there.
static PLACES: [(Draw, &[&str]); 11] = [
    (Draft::twins, &["PortalTeam"]),
    (Draft::echoes, ANNOUNCED),
    (Draft::takes_anothers, &["PortalTeam"]),
    (Draft::loses_its_mark, &["Portal"]),
    (Draft::loses_the_credential, FOUND_AGAIN),
    (Draft::asks_while_nobody_is_there, CALM),
    (Draft::goes_while_it_comes, ANNOUNCED),
    (Draft::goes_with_its_server, &["OAuthClient"]),
    (Draft::goes_with_its_portal, &["PortalCustomDomain"]),
    (Draft::finds_a_users_secret, &["OAuthClient"]),
    (Draft::moves, MOVABLE),
];

/// How many such worlds come before the one of this seed, if it is one.
pub(super) fn number(seed: u64) -> Option<usize> {
    (seed % SHARE == WHICH).then(|| usize::try_from(seed / SHARE).unwrap_or_default())
}

/// Draws such a world. `only`: the kind in its middle; none where that one comes to no such place.
pub(super) fn draw(seed: u64, number: usize, only: Option<&str>) -> Option<Plan> {
    let comes = |(_, kinds): &&(Draw, &[&str])| only.is_none_or(|only| kinds.contains(&only));
    let places: Vec<&(Draw, &[&'static str])> = PLACES.iter().filter(comes).collect();
    let (draw, kinds) = places.get(number.checked_rem(places.len())?)?;
    let mut draft = Draft::new(seed);
    (draft.is_wide, draft.has_second) = (false, false);
    let any = *draft.dice.pick(kinds);
    let kind = kinds.iter().copied().find(|kind| Some(*kind) == only).unwrap_or(any);
    draw(&mut draft, kind);
    let mut switches = Switches::default();
    // Otherwise nothing is ever left of a server that went first.
    switches.acp.deletion_cascades = kind != "OAuthClient";
    Some(draft.finish(seed, 1, switches))
}

impl Draft {
    /// A resource of a kind with what it needs; `change` is merged into its spec.
    fn middle(&mut self, kind: &'static str, change: &Value) -> Member {
        self.parents(kind);
        let at = MADE + self.dice.between(0..=1_000);
        let mut member = self.enters(kind, at);
        for (field, value) in change.as_object().into_iter().flatten() {
            if !value.is_null() {
                member.spec[field] = value.clone();
            } else if let Some(members) = member.spec.as_object_mut() {
                members.remove(field);
            }
        }
        if let Some(last) = self.cast.last_mut() {
            last.spec = member.spec.clone();
        }
        member
    }

    /// The same, when nobody else is to come.
    fn alone(&mut self, kind: &'static str, change: &Value) -> Member {
        let member = self.middle(kind, change);
        self.begin();
        member
    }

    /// Whoever is to come is there.
    fn begin(&mut self) {
        self.prepare();
        self.create();
    }

    /// What happens to the create of a resource.
    fn create_is(&mut self, member: &Member, effect: Effect) {
        let Some(create) = done_once(member.model.kind) else { return };
        self.faults.push(fault(Side::Remote, create, (member.at, member.at + 30_000), 1, effect));
    }

    /// The operator is not there for a while.
    fn falls(&mut self, at: Millis, down: Millis) {
        self.step(at, Action::Crash { replica: 0, down });
    }

    /// Of two objects that equal what a create sent one is a stranger's, and nothing tells which: a person decides (`ambiguous`).
    fn twins(&mut self, kind: &'static str) {
        // As the stranger describes its own: what was not sent would tell the two apart.
        let member = self.alone(kind, &json!({"description": "a stranger's"}));
        let Some(key) = Self::key_of(&member) else { return };
        let late = self.dice.between(LATE);
        // Mostly the stranger's is older, and stands first in the list.
        let is_late = self.dice.chance(80);
        self.create_is(&member, if is_late { Effect::Late(late) } else { Effect::AnswerLost });
        let made = member.at + self.dice.between(1_500..=late - 200);
        self.stranger(made, Stranger::Make { kind: kind.to_owned(), key });
        if self.dice.chance(30) {
            let then = member.at + self.dice.between(25_000..=60_000);
            self.step(then, member.delete());
        }
    }

    /// While the answer to a create comes slowly, the watch begins to lag: long after its own writes the operator hears of the intent, and
    /// a good while later of the record that followed, and is woken in between (`old-events`).
    fn echoes(&mut self, kind: &'static str) {
        let member = self.alone(kind, &Value::Null);
        let (slow, lag) = (self.dice.between(SLOW), self.dice.between(6_000..=12_000));
        self.create_is(&member, Effect::Slow(slow));
        let plural = World::resource(kind).split('.').next().unwrap_or_default();
        // It hears of the resource itself in time.
        let lags = (member.at + 5, member.at + 3 * lag);
        self.faults.push(fault(Side::Kubernetes, &format!("watch {plural}"), lags, 1, Effect::Slow(lag)));
        let Some(used) = self.connection_used(kind) else { return };
        for _ in 0..8 {
            let moment = member.at + lag + self.dice.between(100..=slow + 300);
            self.wakes_users(&used, moment);
        }
    }

    /// A stranger calls a recorded object as another resource wants its own to be called, which may take over what exists: no name in a spec
    /// says that the two meet (`recorded-by-another`).
    fn takes_anothers(&mut self, kind: &'static str) {
        let first = self.middle(kind, &json!({"lifecycle": {"deletion": "Delete", "drift": "Report"}}));
        let renamed = READY + self.dice.between(0..=10_000);
        let mut second = first.clone();
        second.name.push_str("-taker");
        second.spec["name"] = json!("Renamed");
        second.spec["lifecycle"] = json!({"deletion": "Delete", "adoption": "Adopt"});
        second.at = renamed + self.dice.between(50..=30_000);
        let end = second.at + self.dice.between(30_000..=60_000);
        self.cast.push(second.clone());
        self.begin();
        let (field, value) = ("name".to_owned(), second.spec["name"].clone());
        self.stranger(renamed, Stranger::Change { kind: kind.to_owned(), which: 0, field, value });
        if self.dice.chance(30) {
            let goes = if self.dice.chance(50) { first.delete() } else { second.delete() };
            self.step(end, goes);
        }
    }

    /// An object is another installation's by now, and its resource is deleted (`mark-delete`).
    fn loses_its_mark(&mut self, kind: &'static str) {
        let member = self.alone(kind, &Value::Null);
        let taken = READY + self.dice.between(0..=20_000);
        let mut labels = json!({"portico-owner": "another"});
        if self.dice.chance(50) {
            labels["portico-ref"] = json!("0123456789abcdef.00000000-0000-4000-8000-000000000000");
        }
        let field = "labels".to_owned();
        self.stranger(taken, Stranger::Change { kind: kind.to_owned(), which: 0, field, value: labels });
        // Whoever was in the middle of something knows by then.
        let then = taken + self.dice.between(16_000..=70_000);
        self.step(then, member.delete());
    }

    /// While the answer to the first create through a connection is on its way, the operator crashes and the namespace is deleted, with the
    /// Secret of the connection: what is kept for deletions is all that is left (`escrow-first`).
    fn loses_the_credential(&mut self, kind: &'static str) {
        let member = self.alone(kind, &Value::Null);
        let slow = self.dice.between(SLOW);
        self.create_is(&member, Effect::Slow(slow));
        if self.dice.chance(60) {
            // Nothing can be kept: then nothing may be made.
            let fails = (member.at - 1_000, member.at + slow);
            self.faults.push(fault(Side::Kubernetes, "create secrets", fails, 50, Effect::Status(500, None)));
        }
        let crash = member.at + self.dice.between(300..=slow - 100);
        let down = self.dice.between(LONG_DOWN);
        self.falls(crash, down);
        self.step(crash, Action::DeleteNamespace { namespace: NAMESPACE.to_owned() });
    }

    /// A user wishes for a look while nobody is there to hear it: nothing at the API, and nothing in the spec, says so later (`in-order`).
    fn asks_while_nobody_is_there(&mut self, kind: &'static str) {
        let member = self.alone(kind, &Value::Null);
        let at = READY + self.dice.between(0..=30_000);
        let down = self.dice.between(2_000..=10_000);
        let stops = self.dice.chance(50);
        let replica = 0;
        self.step(at, if stops { Action::Stop { replica, down } } else { Action::Crash { replica, down } });
        let wish = at + self.dice.between(500..=down - 200);
        self.step(wish, member.annotate("reconcile-at", Some("wish")));
    }

    /// A create takes effect when nobody waits for its answer any more, and its resource is deleted before that (`delete-waits`).
    fn goes_while_it_comes(&mut self, kind: &'static str) {
        let member = self.alone(kind, &Value::Null);
        let late = self.dice.between(LATE);
        self.create_is(&member, Effect::Late(late));
        let then = member.at + self.dice.between(500..=late - 300);
        self.step(then, member.delete());
        if self.dice.chance(30) {
            let (crash, down) = (member.at + self.dice.between(500..=late), self.dice.between(100..=2_000));
            self.falls(crash, down);
        }
    }

    /// Nobody hears that a client was made, and it is deleted together with the server that its connection is known by (`goes-first`).
    fn goes_with_its_server(&mut self, kind: &'static str) {
        let member = self.alone(kind, &Value::Null);
        let slow = self.dice.between(SLOW);
        self.create_is(&member, Effect::Slow(slow));
        let crash = member.at + self.dice.between(500..=slow - 100);
        let down = self.dice.between(2_000..=10_000);
        self.falls(crash, down);
        for one in self.cast.clone() {
            let then = crash + self.dice.between(50..=1_000);
            self.step(then, one.delete());
        }
    }

    /// A domain cannot be deleted for a while, and its portal is to go as well: the name of the domain would stay reserved for ever
    /// (`goes-first`).
    fn goes_with_its_portal(&mut self, kind: &'static str) {
        let member = self.alone(kind, &Value::Null);
        let then = READY + self.dice.between(0..=20_000);
        self.step(then, member.delete());
        let fails = (then, then + self.dice.between(17_000..=22_000));
        self.faults.push(fault(Side::Remote, "delete-portal-custom-domain", fails, 50, Effect::Status(500, None)));
        for portal in self.cast.clone().into_iter().filter(|other| other.model.kind == "Portal") {
            let later = then + self.dice.between(9_000..=12_000);
            self.step(later, portal.delete());
        }
    }

    /// Credentials are to be handed out in a Secret that is a user's own; mostly the user takes it away in the end (`output-strangers`).
    fn finds_a_users_secret(&mut self, kind: &'static str) {
        let member = self.alone(kind, &Value::Null);
        self.takes_the_place();
        let gone = READY + self.dice.between(0..=20_000);
        if let Some(name) = member.spec["credentialsSecret"]["name"].as_str().filter(|_| self.dice.chance(70)) {
            let (namespace, name) = (member.namespace.clone(), name.to_owned());
            self.step(gone, Action::DeleteSecret { namespace, name });
        }
    }

    /// A spec comes to name another place for its object while the create is open, when it has just been looked for, or when all is Ready:
    /// what was made is found where it was made, and moves (`moved-record`). It may be moved back, or deleted, on its way.
    fn moves(&mut self, kind: &'static str) {
        let lifecycle = json!({"deletion": "Delete", "replace": "Allow"});
        // Groups would wait for a provider, which is not there.
        let member = self.middle(kind, &json!({"lifecycle": lifecycle, "identityProviderGroups": null}));
        let places = self.another_place(&member);
        self.begin();
        let Some((there, back)) = places else { return };
        let (late, slow) = (self.dice.between(LATE), self.dice.between(SLOW));
        let effects = [(40, Effect::AnswerLost), (20, Effect::Late(late)), (15, Effect::Slow(slow))];
        if self.dice.chance(75) {
            let effect = self.dice.weigh(&effects).clone();
            self.create_is(&member, effect);
        }
        let after = self.dice.weigh(&[(60, 50..=OPEN), (20, OPEN..=OPEN + 6_000), (20, READY..=2 * READY)]).clone();
        let moved = member.at + self.dice.between(after);
        self.step(moved, member.edit(there));
        if self.dice.chance(25) {
            let delete = sort(kind).and_then(|sort| sort.operations.iter().find(|done| done.starts_with("delete")));
            let lost = (moved, moved + 2 * OPEN);
            self.faults.extend(delete.map(|delete| fault(Side::Remote, delete, lost, 1, Effect::AnswerLost)));
        }
        if self.dice.chance(30) {
            let (crash, down) = (moved + self.dice.between(0..=OPEN), self.dice.between(100..=5_000));
            self.falls(crash, down);
        }
        let then = moved + self.dice.between(100..=2 * OPEN);
        match self.dice.below(10) {
            0..3 => self.step(then, member.edit(back)),
            3..5 => self.step(then, member.delete()),
            _ => {}
        }
    }

    /// Another place for what a resource makes, which is there: the change of its spec that names it, and the one that takes this back.
    fn another_place(&mut self, member: &Member) -> Option<(Value, Value)> {
        let sort = sort(member.model.kind)?;
        let change = |field: &str, value: &Value| json!({(field): value});
        if sort.shape == Shape::Upsert && self.dice.chance(40) {
            let (_, field) = sort.key;
            let other = version_id(1);
            self.stranger(0, Stranger::Make { kind: "ApiProductVersion".to_owned(), key: other.clone() });
            return Some((change(field, &json!(other)), change(field, &member.spec[field])));
        }
        let parent = referred(sort.parent, sort.api)?;
        let mut second = self.cast.iter().find(|other| other.model.kind == parent)?.clone();
        second.name.push_str("-second");
        // What only one can have.
        if let Some(members) = second.spec.as_object_mut() {
            members.retain(|field, _| !["name", "id", "customDomain", "customClientDomain"].contains(&field.as_str()));
        }
        let there = change(sort.parent, &json!({"name": second.name}));
        self.cast.push(second);
        Some((there, change(sort.parent, &member.spec[sort.parent])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{act::rules, draw::draw as draw_any, plan::Step};

    #[test]
    fn one_world_of_twenty_is_about_a_narrow_place_and_none_of_them_about_crashes() {
        assert_eq!((0..1_000).filter(|seed| number(*seed).is_some()).count(), 50);
        assert!((0..1_000).all(|seed| number(seed).is_none() || super::super::aimed::number(seed).is_none()));
    }

    #[test]
    fn every_place_has_its_resource_and_something_that_happens_to_it() {
        for (place, (_, kinds)) in (0..).zip(PLACES) {
            let plan = draw_any(place * SHARE + WHICH, None);
            let is_its = |action: &Action| matches!(action, Action::Apply(made) if kinds.iter().any(|kind| made["kind"] == *kind));
            let made = plan.steps.iter().filter(|step| is_its(&step.action)).count();
            assert!(made > 0 && (plan.steps.len() > made || !plan.faults.is_empty()), "place {place}: {plan}");
        }
    }

    #[test]
    fn the_specs_of_all_places_keep_to_the_rules() {
        for number in 0..200 {
            for step in draw_any(number * SHARE + WHICH, None).steps {
                let Action::Apply(made) = step.action else { continue };
                let kind = made["kind"].as_str().unwrap_or_default();
                assert_eq!(rules::check(kind, &made["spec"], None), Ok(()), "{made:#}");
            }
        }
    }

    #[test]
    fn whoever_moves_may_do_so_and_goes_to_a_parent_that_is_there() {
        for (seed, kind) in (0..).zip(MOVABLE.iter().copied()) {
            let mut draft = Draft::new(seed);
            draft.moves(kind);
            let moved = |step: &Step| matches!(&step.action, Action::Edit { kind: of, .. } if of == kind);
            assert!(draft.steps.iter().any(moved), "{kind}");
            let member = draft.cast.iter().find(|member| member.model.kind == kind).expect("it is in the cast");
            for step in &draft.steps {
                let Action::Edit { spec, .. } = &step.action else { continue };
                let mut new = member.spec.clone();
                for (field, value) in spec.as_object().into_iter().flatten() {
                    new[field] = value.clone();
                    let named = value["name"].as_str();
                    assert!(named.is_none_or(|named| draft.cast.iter().any(|other| other.name == named)), "{spec}");
                }
                assert_eq!(rules::check(kind, &new, Some(&member.spec)), Ok(()), "{new:#}");
            }
        }
    }

    #[test]
    fn a_kind_that_comes_to_no_narrow_place_has_its_usual_worlds() {
        assert!(draw(WHICH, 0, Some("PortalAuditLogWebhook")).is_none());
        let plan = draw(WHICH, 0, Some("PortalTeam")).expect("teams come there");
        let is_team = |action: &Action| matches!(action, Action::Apply(made) if made["kind"] == "PortalTeam");
        assert!(plan.steps.iter().any(|step| is_team(&step.action)), "{plan}");
    }
}
