//! Identity providers: of one type a portal has one, and of all types one is enabled.
use portico_simulation::plan::{Action, Effect, Millis, Step};
use serde_json::{Value, json};

use crate::world::{apply, delete, first, konnect, make, portal, provider, remove, replay, sent, step, world};

/// A provider of the portal `shop` of this type.
fn typed(at: Millis, name: &str, type_: &str, enabled: bool) -> Step {
    let config = match type_ {
        "saml" => json!({"idpMetadataUrl": "https://idp.example.com/metadata"}),
        _ => json!({"issuerUrl": "https://login.example.com", "clientId": "developer-portal"}),
    };
    apply(at, provider(name, &json!({"type": type_, "enabled": enabled, "config": config})))
}

/// Seeds 63199, 63341, 66638, 66775, 67219, 68495 and 69014: two of one type wait for a third of another type, which goes first. Nobody
/// waits in a circle, and the oracle said so.
#[test]
fn who_is_enabled_goes_before_all_that_would_be_of_whatever_type() {
    let steps = vec![
        apply(1_000, portal("shop")),
        typed(3_000, "first", "saml", true),
        typed(6_000, "second", "oidc", true),
        typed(9_000, "third", "oidc", true),
    ];
    let outcome = replay(&world(steps, Vec::new(), 10_000));
    assert_eq!(sent(&outcome, "POST", "/identity-providers {"), 1, "{}", outcome.trace.join("\n"));
}

/// Seed 68577, law 2: a create was refused when nobody listened any more, since a stranger had made a provider of the type meanwhile. Its
/// type was all that told it from what was sent.
#[test]
fn a_strangers_provider_of_the_type_is_not_what_an_unanswered_create_made() {
    for type_ in ["oidc", "saml"] {
        let late = first("create-portal-identity-provider", Effect::Late(8_000));
        let steps = vec![
            apply(1_000, portal("shop")),
            typed(3_000, "ours", type_, false),
            make(6_000, "PortalIdentityProvider", type_),
        ];
        let outcome = replay(&world(steps, vec![late], 61_000));
        assert_eq!(sent(&outcome, "PATCH", "/identity-providers/"), 0, "{}", outcome.trace.join("\n"));
        assert!(sent(&outcome, "POST", "/identity-providers {") > 0, "{}", outcome.trace.join("\n"));
    }
}

/// Seed 110430: who is bound to an object waits for an older one of its type, and is waited for by those of the same binding; behind these
/// wait others of their type. The line ends at one that waits for nobody, and the oracle saw a circle.
#[test]
fn who_waits_for_one_that_waits_for_another_waits_in_no_circle() {
    let bound = |at: Millis, name: &str, type_: &str| {
        let config = match type_ {
            "saml" => json!({"idpMetadataUrl": "https://idp.example.com/metadata"}),
            _ => json!({"issuerUrl": "https://login.example.com", "clientId": "developer-portal"}),
        };
        let lifecycle = json!({"adoption": "Adopt", "id": "3d7e1b94-5a20-4c68-b0f7-91c4e2a86d05"});
        apply(at, provider(name, &json!({"type": type_, "config": config, "lifecycle": lifecycle})))
    };
    let steps = vec![
        apply(1_000, portal("shop")),
        typed(3_000, "first", "oidc", true),
        bound(6_000, "second", "oidc"),
        bound(9_000, "third", "saml"),
        typed(12_000, "fourth", "saml", false),
    ];
    let outcome = replay(&world(steps, Vec::new(), 13_000));
    assert_eq!(sent(&outcome, "POST", "/identity-providers {"), 1, "{}", outcome.trace.join("\n"));
}

/// The portal `shop` has the provider `one`, is left behind and becomes `again`'s. Then comes a provider `two` of that.
fn taken_over(enabled: bool, two: &Value) -> Vec<Step> {
    let spec = json!({"connectionRef": {"name": "acme"}, "name": "shop", "lifecycle": {"adoption": "Adopt"}});
    let (kind, namespace, name) = ("Portal".to_owned(), "world".to_owned(), "shop".to_owned());
    let (key, value) = ("portico.dev/orphan".to_owned(), Some("true".to_owned()));
    vec![
        apply(1_000, portal("shop")),
        typed(3_000, "one", "saml", enabled),
        delete(6_000, "Portal", "shop"),
        step(7_000, Action::Annotate { kind, namespace, name, key, value }),
        apply(9_000, konnect("Portal", "again", &spec)),
        apply(12_000, provider("two", two)),
    ]
}

/// Seed 2035954, law 10: who has recorded the provider of a portal goes before another of its type, also when the portal became another
/// resource's, and when it vanished with all that was in it. The oracle asked only for the object.
#[test]
fn who_has_recorded_a_provider_goes_first_although_its_portal_became_anothers_and_vanished() {
    let two = json!({"portalRef": {"name": "again"}});
    let steps = taken_over(false, &two).into_iter().chain([remove(15_000, "Portal", 0)]).collect();
    let outcome = replay(&world(steps, Vec::new(), 15_001));
    assert_eq!(sent(&outcome, "POST", "/identity-providers {"), 1, "{}", outcome.trace.join("\n"));
}

/// Beside seed 2035954: the same of a provider of another type, where both are to be the one that is enabled.
#[test]
fn who_is_enabled_goes_first_although_its_portal_became_anothers() {
    let config = json!({"issuerUrl": "https://login.example.com", "clientId": "developer-portal"});
    let two = json!({"portalRef": {"name": "again"}, "type": "oidc", "enabled": true, "config": config});
    let outcome = replay(&world(taken_over(true, &two), Vec::new(), 13_000));
    assert_eq!(sent(&outcome, "POST", "/identity-providers {"), 1, "{}", outcome.trace.join("\n"));
}
