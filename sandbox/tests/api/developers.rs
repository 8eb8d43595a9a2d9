//! What becomes of developers who signed up.

use portico_sandbox::{Plant, Switches};
use serde_json::json;

use crate::client::{Acme, id};

const STATUSES: [&str; 4] = ["approved", "pending", "revoked", "rejected"];

/// The path of a developer with this status.
fn sign_up(acme: &Acme, portal: &str, email: &str, status: &str) -> String {
    let (email, status) = (email.to_owned(), status.to_owned());
    let planted = acme.sandbox.plant("acme", Plant::Developer { portal: id(portal), email, status });
    format!("{portal}/developers/{}", planted.unwrap())
}

#[tokio::test]
async fn a_developer_may_get_any_status() {
    let acme = Acme::new();
    let portal = acme.portal("docs").await;
    for from in STATUSES {
        for to in STATUSES {
            let developer = sign_up(&acme, &portal, &format!("{from}.{to}@example.com"), from);
            let changed = acme.patch(&developer, json!({"status": to})).await;
            assert_eq!((changed.status, &changed.body["status"]), (200, &json!(to)), "{from} {to}");
        }
    }
}

#[tokio::test]
async fn or_only_those_that_people_go_through() {
    let acme = Acme::with(Switches { any_developer_status: false, ..Switches::default() });
    let portal = acme.portal("docs").await;
    let ways = [("pending", "approved"), ("pending", "rejected"), ("approved", "revoked"), ("revoked", "approved")];
    for from in STATUSES {
        for to in STATUSES {
            let developer = sign_up(&acme, &portal, &format!("{from}.{to}@example.com"), from);
            let changed = acme.patch(&developer, json!({"status": to})).await;
            if from == to || ways.contains(&(from, to)) {
                assert_eq!((changed.status, &changed.body["status"]), (200, &json!(to)), "{from} {to}");
            } else {
                assert_eq!(changed.refusal(), ("status", "invalid", "body"), "{from} {to}");
                assert_eq!(acme.get(&developer).await.body["status"], from);
            }
        }
    }
}

#[tokio::test]
async fn one_who_was_rejected_cannot_sign_up_again_unless_deleted() {
    let acme = Acme::new();
    let portal = acme.portal("docs").await;
    let developer = sign_up(&acme, &portal, "ann@example.com", "rejected");
    let again = || {
        let (portal, email, status) = (id(&portal), "ann@example.com".to_owned(), "pending".to_owned());
        acme.sandbox.plant("acme", Plant::Developer { portal, email, status })
    };
    assert!(again().is_err());
    assert_eq!(acme.delete(&developer).await.status, 204);
    assert!(again().is_ok());
}
