//! Conformance by list: what holds for every kind, tested from nothing but its CRD, `examples/<kind>.yaml` and
//! `examples/changed/<kind>.yaml`. The list at the end is that of `src/kinds.rs`; a test fails where it is not. Objects come to be in several
//! ways: which one is a kind's stands in `shape`, and there stands, too, what has no meaning for it and why.
mod case;
mod connections;
mod crash;
mod fields;
mod fixtures;
mod life;
mod once;
mod remote;
mod shape;
mod strangers;
mod table;
mod units;

use std::{pin::Pin, time::Duration};

/// A test that hangs ends with a word.
async fn in_time(test: Pin<Box<dyn Future<Output = ()>>>) {
    let ended = tokio::time::timeout(Duration::from_secs(300), test).await;
    ended.expect("each of these tests takes less than five minutes");
}

macro_rules! suite {
    (connections: $($connection:ident),*; resources: $($resource:ident),*;) => {
        /// The kinds that are tested.
        const TESTED: &[&str] = &[$(stringify!($connection),)* $(stringify!($resource),)*];

        $(
            #[allow(non_snake_case, reason = "named after the kind")]
            mod $connection {
                use super::{
                    connections::connects,
                    crash::{Action, crash_everywhere},
                    in_time,
                };

                const KIND: &str = stringify!($connection);

                #[tokio::test(flavor = "multi_thread")]
                async fn connects_rests_and_takes_every_field() {
                    in_time(Box::pin(connects(KIND))).await;
                }

                #[tokio::test(flavor = "multi_thread")]
                async fn is_made_wherever_portico_crashes() {
                    in_time(Box::pin(crash_everywhere(KIND, Action::Create))).await;
                }

                #[tokio::test(flavor = "multi_thread")]
                async fn is_updated_wherever_portico_crashes() {
                    in_time(Box::pin(crash_everywhere(KIND, Action::Update))).await;
                }

                #[tokio::test(flavor = "multi_thread")]
                async fn is_deleted_wherever_portico_crashes() {
                    in_time(Box::pin(crash_everywhere(KIND, Action::Delete))).await;
                }
            }
        )*

        $(
            #[allow(non_snake_case, reason = "named after the kind")]
            mod $resource {
                use super::{
                    crash::{Action, crash_everywhere},
                    fields::every_field,
                    in_time,
                    life::life,
                    strangers::strangers,
                };

                const KIND: &str = stringify!($resource);

                #[tokio::test(flavor = "multi_thread")]
                async fn every_field_arrives_and_its_drift_is_found_and_put_back() {
                    in_time(Box::pin(every_field(KIND))).await;
                }

                #[tokio::test(flavor = "multi_thread")]
                async fn lives_as_the_laws_and_the_counts_say() {
                    in_time(Box::pin(life(KIND))).await;
                }

                #[tokio::test(flavor = "multi_thread")]
                async fn takes_strangers_objects_only_when_told() {
                    in_time(Box::pin(strangers(KIND))).await;
                }

                #[tokio::test(flavor = "multi_thread")]
                async fn is_created_once_wherever_portico_crashes() {
                    in_time(Box::pin(crash_everywhere(KIND, Action::Create))).await;
                }

                #[tokio::test(flavor = "multi_thread")]
                async fn is_updated_wherever_portico_crashes() {
                    in_time(Box::pin(crash_everywhere(KIND, Action::Update))).await;
                }

                #[tokio::test(flavor = "multi_thread")]
                async fn is_adopted_once_wherever_portico_crashes() {
                    in_time(Box::pin(crash_everywhere(KIND, Action::Adopt))).await;
                }

                #[tokio::test(flavor = "multi_thread")]
                async fn is_deleted_wherever_portico_crashes() {
                    in_time(Box::pin(crash_everywhere(KIND, Action::Delete))).await;
                }
            }
        )*
    };
}

suite! {
    connections: AcpConnection, KonnectConnection;
    resources: AuthorizationServer, Consent, ConsentAction, OAuthClient, Portal, PortalAuditLogReplay,
        PortalAuditLogWebhook, PortalAuthentication, PortalCustomDomain, PortalDeveloper, PortalIdentityProvider,
        PortalProductVersion, PortalTeam;
}

#[test]
fn every_kind_of_the_list_is_tested() {
    let mut listed: Vec<&str> = crate::world::all_kinds().collect();
    let mut tested = TESTED.to_vec();
    listed.sort_unstable();
    tested.sort_unstable();
    assert_eq!(listed, tested, "the list of src/kinds.rs is also that of suite! in tests/behaviour/conformance/mod.rs");
}
