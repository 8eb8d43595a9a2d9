//! What goes wrong only where several things meet at the right moment, too rarely to be drawn one by one: a leader that cannot renew its
//! Lease while it has work, a watch that lags behind Portico's own writes while somebody else wakes their resource, a create whose object
//! is on a page that is not answered, or that takes effect when its sender has given up. Each puts rules of the engine to the test that
//! nothing else does; `break_rules.py` shows whether that is so.
use serde_json::json;

use super::{Draft, Member, strangers::CROWD};
use crate::{
    laws::sorts::{Shape, connection, sort},
    plan::{Action, Effect, Fault, Millis, Side, Stranger},
    world::{CONSISTENCY, REQUEST_TIMEOUT, World},
};

/// A leader that cannot renew its Lease gives up within so many milliseconds: the Lease of the settings lasts 15 s.
const LEASE: Millis = 14_000;
/// The least between the last renewal that can have worked and the end of all writes, and the most.
const LAST_WRITES: std::ops::RangeInclusive<Millis> = 4_000..=13_000;

/// A fault that strikes so many requests from the first on.
pub(super) fn fault(side: Side, what: &str, (from, until): (Millis, Millis), times: u32, effect: Effect) -> Fault {
    Fault { side, from, until, nth: 0, times, what: what.to_owned(), effect }
}

impl Draft {
    /// Draws one of them, in a few worlds.
    pub(super) fn rare(&mut self, replicas: u8) {
        if replicas > 1 && self.dice.chance(50) {
            self.loses_the_lease();
        }
        match self.dice.below(100) {
            0..6 => self.lags(),
            6..10 => self.hides_on_a_later_page(),
            10..16 => self.comes_late(),
            16..18 => self.takes_the_place(),
            _ => {}
        }
    }

    /// The leader cannot renew its Lease until another replica takes it, while everything else answers, and has work up to the end.
    fn loses_the_lease(&mut self) {
        let at = self.dice.between(6_000..=self.span.max(20_000));
        let effect = if self.dice.chance(60) { Effect::Lost } else { Effect::Status(500, None) };
        self.faults.push(fault(Side::Kubernetes, "update leases", (at, at + LEASE), 8, effect));
        for _ in 0..5 {
            let Some(member) = self.somebody() else { return };
            let (moment, change) = (at + self.dice.between(LAST_WRITES), self.change(&member));
            self.step(moment, member.edit(change));
        }
    }

    /// What Portico writes to resources of one kind reaches its watch late, and meanwhile their connection wakes them: a pass that believed
    /// its watch would not know what the last one made.
    fn lags(&mut self) {
        // A portal is known by its mark, whatever its status says.
        let marked = |member: &&Member| member.model.kind == "Portal";
        let others: Vec<Member> = self.cast.iter().filter(|member| !marked(member)).cloned().collect();
        let member = if others.is_empty() { self.somebody() } else { Some(self.dice.pick(&others).clone()) };
        let Some(member) = member else { return };
        let Some(used) = self.connection_used(member.model.kind) else { return };
        let plural = World::resource(member.model.kind).split('.').next().unwrap_or_default();
        // The watch tells of the resource itself in time.
        let at = member.at + self.dice.between(20..=2_000);
        let lag = self.dice.between(5_000..=15_000);
        let until = at + 3 * lag;
        self.faults.push(fault(Side::Kubernetes, &format!("watch {plural}"), (at, until), 1, Effect::Slow(lag)));
        for _ in 0..6 {
            let moment = self.dice.between(at + 200..=until);
            self.wakes_users(&used, moment);
        }
    }

    /// The kind, namespace and name of the first connection that resources of a kind can use.
    pub(super) fn connection_used(&self, kind: &str) -> Option<[String; 3]> {
        let sort = sort(kind)?;
        self.before.iter().find(|manifest| manifest["kind"] == connection(sort.api)).map(Self::names)
    }

    /// A connection is looked at, and wakes whoever uses it.
    pub(super) fn wakes_users(&mut self, used: &[String; 3], moment: Millis) {
        let [kind, namespace, name] = used.clone();
        let (key, value) = ("portico.dev/reconcile-at".to_owned(), Some(format!("wish-{moment}")));
        self.step(moment, Action::Annotate { kind, namespace, name, key, value });
    }

    /// Nobody hears that a portal was made, and it is on the second page of the list, which is not answered for a while. Then it is deleted,
    /// or is called otherwise.
    fn hides_on_a_later_page(&mut self) {
        let portals: Vec<Member> = self.cast.iter().filter(|member| member.model.kind == "Portal").cloned().collect();
        if portals.is_empty() {
            return;
        }
        let member = self.dice.pick(&portals).clone();
        self.stranger(0, Stranger::Make { kind: "Portal".to_owned(), key: format!("crowd*{CROWD}") });
        let at = member.at;
        let unheard = if self.dice.chance(60) { Effect::AnswerLost } else { Effect::CrashAfter };
        self.faults.push(fault(Side::Remote, "create-portal", (at, at + 20_000), 1, unheard));
        let effect = if self.dice.chance(40) { Effect::Lost } else { Effect::Status(500, None) };
        self.faults.push(fault(Side::Remote, "pages", (at, at + 70_000), 12, effect));
        let then = at + self.dice.between(500..=6_000);
        let action = if self.dice.chance(60) {
            member.delete()
        } else {
            member.edit(json!({"name": format!("renamed-{then}")}))
        };
        self.step(then, action);
    }

    /// What can be done only once is done long after it was sent, or not at all; meanwhile a stranger makes the like, and the resource is
    /// changed or deleted, or Portico crashes.
    fn comes_late(&mut self) {
        let all: Vec<(Member, &'static str)> =
            self.cast.iter().filter_map(|member| Some((member.clone(), done_once(member.model.kind)?))).collect();
        if all.is_empty() {
            return;
        }
        let (member, create) = self.dice.pick(&all).clone();
        let update = match member.model.kind {
            "Consent" => Some("updateConsent"),
            "PortalProductVersion" => Some("update-portal-product-version"),
            _ => None,
        };
        let is_update = update.is_some() && self.dice.chance(60);
        let mut at = member.at;
        if is_update {
            at += self.dice.between(3_000..=15_000);
            let change = self.change(&member);
            self.step(at, member.edit(change));
        }
        let what = update.filter(|_| is_update).unwrap_or(create);
        // Later than anybody waits for the answer, and in time for whoever waits for its effect.
        let late = self.dice.between(REQUEST_TIMEOUT..=REQUEST_TIMEOUT + CONSISTENCY - 1_000);
        let effect = self.dice.weigh(&[(70, Effect::Late(late)), (15, Effect::Lost), (15, Effect::AnswerLost)]).clone();
        self.faults.push(fault(Side::Remote, what, (at, at + 30_000), 1, effect));
        if let Some(key) = Self::key_of(&member).filter(|_| !is_update && self.dice.chance(40)) {
            let moment = at + self.dice.between(100..=late);
            self.stranger(moment, Stranger::Make { kind: member.model.kind.to_owned(), key });
        }
        let then = at + self.dice.between(200..=20_000);
        match self.dice.below(5) {
            0 => self.step(then, member.delete()),
            1 => {
                let change = self.change(&member);
                self.step(then, member.edit(change));
            }
            2 | 3 => {
                let down = self.dice.between(100..=5_000);
                self.step(then, Action::Crash { replica: 0, down });
            }
            _ => {}
        }
    }

    /// A user has a Secret of their own under the name in which credentials are to be handed out.
    pub(super) fn takes_the_place(&mut self) {
        let named = |member: &Member| {
            let name = member.spec["credentialsSecret"]["name"].as_str()?;
            Some((member.namespace.clone(), name.to_owned()))
        };
        let all: Vec<(String, String)> = self.cast.iter().filter_map(named).collect();
        if all.is_empty() {
            return;
        }
        let (namespace, name) = self.dice.pick(&all).clone();
        let data = vec![("note".to_owned(), self.dice.secret())];
        self.step(0, Action::Secret { namespace, name, data });
    }
}

/// The operation that makes an object of a kind, or begins what is done once; none where nothing is made.
pub(super) fn done_once(kind: &str) -> Option<&'static str> {
    let sort = sort(kind)?;
    let is_it = |operation: &&&str| {
        let begins = |word: &&str| operation.starts_with(word);
        match sort.shape {
            Shape::Singleton | Shape::Claimed => false,
            Shape::Action => begins(&"update"),
            _ => ["create", "replace"].iter().any(begins),
        }
    };
    sort.operations.iter().find(is_it).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::{draw, kinds};

    #[test]
    fn what_is_done_once_is_known_of_all_kinds_that_make_something() {
        assert_eq!(done_once("PortalTeam"), Some("create-portal-team"));
        assert_eq!(done_once("PortalProductVersion"), Some("replace-portal-product-version"));
        assert_eq!(done_once("PortalAuditLogReplay"), Some("update-portal-audit-log-replay-job"));
        let makes_none = |kind: &&str| sort(kind).is_some() && done_once(kind).is_none();
        assert_eq!(kinds().into_iter().filter(makes_none).count(), 3);
    }

    #[test]
    fn each_of_them_is_drawn_in_some_worlds() {
        let found =
            |what: fn(&Fault) -> bool| (1..=400).filter(|seed| draw(*seed, None).faults.iter().any(what)).count();
        let lags = |fault: &Fault| fault.what.starts_with("watch ") && matches!(fault.effect, Effect::Slow(_));
        assert!(found(lags) > 8);
        assert!(found(|fault| fault.what == "pages") > 0);
        assert!(found(|fault| fault.what == "update leases" && fault.times == 8) > 4);
    }
}
