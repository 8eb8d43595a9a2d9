//! What users, administrators and strangers do in a world, done: with Kubernetes as a user, at the APIs as a stranger. What cannot be done
//! (the thing is not there, or is refused) is noted in the trace, and nothing happens.
//!
//! In a manifest, `${id:Portal:docs}` stands for the id of the object of this kind that has this key at its API, whoever made it; in the
//! value of an annotation, `${absence}` stands for the token of the absence that a connection shows.
use serde_json::{Value, json};

use crate::{
    laws::{
        look::{is_deleting, kind, name, namespace},
        sorts::{in_order, sort, text},
    },
    plan::Action,
    seen::Api,
    world::World,
};

#[path = "act_manifest.rs"]
mod manifest;
#[path = "act_rules.rs"]
pub(crate) mod rules;
#[path = "act_stranger.rs"]
mod stranger;

/// Who acts in Kubernetes, as the record of writes names them.
const USER: &str = "user";
const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// Does it. Takes no virtual time.
pub async fn act(world: &World, action: &Action) {
    if let Err(why) = attempt(world, action) {
        world.trace.note(world.now(), format_args!("  nothing: {why}"));
    }
    // Nothing here waits: the laws look at the world as it is right after, before anybody else has noticed.
    std::future::ready(()).await;
}

fn attempt(world: &World, action: &Action) -> Result<(), String> {
    let refused = |refusal: portico_testbed::simulated::Refusal| refusal.to_string();
    match action {
        Action::Apply(given) => manifest::apply(world, given),
        Action::Edit { kind, namespace, name, spec } => manifest::edit(world, (kind, namespace, name), spec),
        Action::Delete { kind, namespace, name } => {
            world.kubernetes.delete(USER, World::resource(kind), namespace, name).map_err(refused)?;
            Ok(())
        }
        Action::Annotate { kind, namespace, name, key, value } => {
            let resource = World::resource(kind);
            let object = world.kubernetes.get(resource, namespace, name).ok_or("it is not there")?;
            let shown = text(&object["status"]["absence"]["token"]);
            let value = value.as_ref().map(|value| value.replace("${absence}", shown));
            let patch = json!({"metadata": {"annotations": {(key.as_str()): value}}});
            world.kubernetes.patch(USER, resource, namespace, name, "", &patch).map_err(refused)?;
            Ok(())
        }
        Action::Secret { namespace, name, data } => manifest::secret(world, namespace, name, data),
        Action::DeleteSecret { namespace, name } => {
            world.kubernetes.delete(USER, "secrets", namespace, name).map_err(refused)?;
            Ok(())
        }
        Action::DeleteNamespace { namespace } => {
            world.kubernetes.delete(USER, "namespaces", "", namespace).map_err(refused)?;
            Ok(())
        }
        Action::Namespace { namespace } => make_namespace(world, namespace),
        Action::DeleteCrd { kind } => {
            world.kubernetes.delete(USER, DEFINITIONS, "", World::resource(kind)).map_err(refused)?;
            Ok(())
        }
        Action::InstallCrd { kind } => {
            if world.kubernetes.get(DEFINITIONS, "", World::resource(kind)).is_some() {
                return Err("the CRD is still there".to_owned());
            }
            world.install_crd(kind);
            Ok(())
        }
        Action::Restore { from } => restore(world, &world.backup(*from)),
        Action::Stranger(deed) => stranger::act(world, deed),
        Action::Revoke { account } => {
            world.revoke(account);
            Ok(())
        }
        Action::Renew { account } => {
            world.renew(account);
            for secret in world.credential_secrets(account) {
                let within = namespace(&secret);
                if world.kubernetes.get("namespaces", "", within).is_some_and(|found| !is_deleting(&found)) {
                    world.kubernetes.put(USER, secret).map_err(refused)?;
                }
            }
            Ok(())
        }
        Action::Crash { replica, down } => {
            world.crash(*replica, *down);
            Ok(())
        }
        Action::Stop { replica, down } => {
            world.stop(*replica, *down);
            Ok(())
        }
    }
}

/// A namespace that is not there, with the Secrets that were in it at first.
fn make_namespace(world: &World, called: &str) -> Result<(), String> {
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": called}});
    world.kubernetes.create(USER, object).map_err(|refusal| refusal.to_string())?;
    let is_its = |manifest: &&Value| kind(manifest) == "Secret" && namespace(manifest) == called;
    for secret in world.plan.before.iter().filter(is_its) {
        world.kubernetes.put(USER, world.filled(secret)).map_err(|refusal| refusal.to_string())?;
    }
    Ok(())
}

/// Makes all that is not there again, as it was, with its status.
fn restore(world: &World, backup: &[Value]) -> Result<(), String> {
    let mut made = 0;
    for saved in backup.iter().filter(|saved| !is_deleting(saved)) {
        let resource = World::resource(kind(saved));
        let (within, called) = (namespace(saved), name(saved));
        if world.kubernetes.get(resource, within, called).is_some() {
            continue;
        }
        let mut object = saved.clone();
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.retain(|field, _| {
                ["name", "namespace", "labels", "annotations", "finalizers"].contains(&field.as_str())
            });
        }
        if world.kubernetes.create(USER, object).is_err() {
            continue;
        }
        let status = json!({"status": saved["status"]});
        // Its CRD, or its namespace, may be on its way out.
        let _ = world.kubernetes.patch(USER, resource, within, called, "status", &status);
        made += 1;
    }
    if made == 0 { Err("everything is there, or cannot be made".to_owned()) } else { Ok(()) }
}

/// The id of the object of a kind that has this key at its API.
fn id_of(world: &World, kind: &str, key: &str) -> Option<String> {
    let state = world.state_of(sort(kind).map_or(Api::Konnect, |sort| sort.api));
    let found = in_order(&state).into_iter().find(|(sort, _, object)| {
        let members = [sort.key.0, "name", "client_name", sort.id];
        sort.kind == kind && members.iter().any(|member| !member.is_empty() && object[*member] == key)
    });
    found.map(|(sort, _, object)| text(&object[sort.id]).to_owned())
}
