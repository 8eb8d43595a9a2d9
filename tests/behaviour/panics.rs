//! A panic in a pass is an error of that one resource (law 11): it is tried again after a while, and everyone else goes on.
use std::time::Duration;

use serde_json::json;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_panics_is_tried_again_with_growing_patience_and_hurts_nobody_else() {
    let (world, _) = World::quiet_with_docs("panic").await;
    world.wire.panic_at("PATCH /v2/portals/{id}");
    world.spec("Portal", "docs", json!({"description": "changed"})).await;
    world.eventually("a pass panics", |w| !w.wire.panics().is_empty()).await;
    // Nothing that passes share is left behind in a bad state.
    world.portal("news", json!({})).await;
    world.synced("Portal", "news").await;
    world.eventually("it panics again and again", |w| w.wire.panics().len() >= 3).await;
    assert!(!world.is_synced("Portal", "docs").await);
    let panics = world.wire.panics();
    let waits: Vec<Duration> = panics.windows(2).map(|two| two[1] - two[0]).collect();
    let backoff = world.settings.backoff;
    assert!(waits[0] >= backoff && waits[1] >= backoff * 2, "{waits:?}");
    let metrics = world.metrics.text();
    assert!(metrics.contains(r#"kind="Portal",outcome="panic""#), "{metrics}");
    world.wire.disarm();
    world.synced("Portal", "docs").await;
    assert_eq!(world.only("docs")["description"], "changed");
    world.end().await;
}
