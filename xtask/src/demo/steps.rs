//! The tour itself: one function a step, each a list of commands and of what must then be so.

use std::fmt::Write as _;

use portico_sandbox::{Effect, Fault, Plant};
use serde_json::{Value, json};

use super::{
    acp,
    shell::{self, expect},
    world::{EXAMPLES, NAMESPACE, ORGANIZATION, SECRET, STRANGER, World},
};
use crate::Outcome;

/// One thing that Portico promises.
pub(crate) struct Step {
    pub(crate) headline: &'static str,
    /// What is so at the end of the step.
    pub(crate) expected: &'static str,
    pub(crate) run: fn(&mut World) -> Outcome,
}

/// The tour, in order.
pub(crate) const TOUR: [Step; 11] = [
    Step {
        headline: "Manifests become true",
        expected: "every resource of the examples is Ready, and Konnect has the portal under the recorded id",
        run: everything_ready,
    },
    Step { headline: "A changed manifest arrives", expected: "the API shows the new description", run: change_arrives },
    Step {
        headline: "A change made by hand is put back",
        expected: "the API shows the manifest's description again, and an event says so",
        run: drift_corrected,
    },
    Step {
        headline: "A refusal is explained",
        expected: "the condition names the label that the API refuses; nothing is created",
        run: refusal_explained,
    },
    Step {
        headline: "A stranger's portal of the same name",
        expected: "it stays untouched until the manifest says `adoption: Adopt`, and is then the one that is managed",
        run: stranger_adopted,
    },
    Step {
        headline: "kill -9 in the middle of a create",
        expected: "exactly one portal, and its id is the recorded one",
        run: killed_in_the_middle,
    },
    Step {
        headline: "A rotated token",
        expected: "the connection says that the token is refused, is Ready again with the new one, and changes arrive",
        run: token_rotated,
    },
    Step {
        headline: "ACP: credentials arrive in a Secret",
        expected: "the Secret has the client's id, its secret and where to use them, and the token endpoint takes them",
        run: acp::credentials_arrive,
    },
    Step {
        headline: "ACP: the client's secret is rotated",
        expected: "the Secret has a new secret that works, and the old one does not work any more",
        run: acp::secret_rotated,
    },
    Step {
        headline: "ACP: a consent is changed once",
        expected: "its version has grown by exactly one, since every version may ask all users again",
        run: acp::consent_versioned,
    },
    Step {
        headline: "The namespace is deleted",
        expected: "it is gone, at Konnect only the stranger's portal is left, and in the tenant only what is built in",
        run: namespace_deleted,
    },
];

const PORTAL: &str = "portal/developers";
const CONNECTION: &str = "konnectconnection/acme";
const CONDITIONS: &str = r#"jsonpath={range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{"\n"}{end}"#;

/// What the examples declare.
const RESOURCES: [&str; 15] = [
    CONNECTION,
    PORTAL,
    "portalteam/api-readers",
    "portalauthentication/sign-in",
    "portalidentityprovider/workforce",
    "portalproductversion/payments-v1",
    "portaldeveloper/ann",
    "portalauditlogreplay/after-the-outage",
    "portalauditlogwebhook/audit-logs",
    "portalcustomdomain/developers-domain",
    "acpconnection/identity",
    "authorizationserver/login",
    "oauthclient/shop",
    "consent/marketing",
    "consentaction/sign-up",
];

/// Applies the examples in a new namespace and waits until they are Ready.
pub(crate) fn apply_examples(world: &World) -> Outcome {
    world.kubectl(&["create", "namespace", NAMESPACE])?;
    world.in_namespace(&["apply", "-f", EXAMPLES])?;
    world.ready(&RESOURCES)
}

fn everything_ready(world: &mut World) -> Outcome {
    shell::note("the manifests of examples/, with the sandbox's URL, a token, a client and ids and times put in");
    apply_examples(world)?;
    world.kubectl(&["get", "portico", "-A"])?;
    world.in_namespace(&["get", "portalteam/api-readers", "-o", CONDITIONS])?;
    let id = world.recorded_id(PORTAL)?;
    let portals = world.api.show_portals()?;
    expect(has_id(&portals, &id), format!("no portal has the recorded id {id:?}"))
}

fn change_arrives(world: &mut World) -> Outcome {
    describe(world, "Changed in the manifest")?;
    let id = world.recorded_id(PORTAL)?;
    world.api.shows(&id, "description", "Changed in the manifest")
}

fn drift_corrected(world: &mut World) -> Outcome {
    describe(world, "As the manifest has it")?;
    world.ready(&[PORTAL])?;
    let id = world.recorded_id(PORTAL)?;
    world.api.change_by_hand(&id, &json!({ "description": "changed by hand" }))?;
    world.api.shows(&id, "description", "As the manifest has it")?;
    let events = ["get", "events", "--field-selector", "involvedObject.name=developers,reason=DriftCorrected"];
    shell::poll(shell::SELDOM, || {
        expect(world.look(&events)?.contains("DriftCorrected"), "there is no event with the reason DriftCorrected")
    })?;
    world.in_namespace(&events)?;
    world.ready(&[PORTAL])
}

fn refusal_explained(world: &mut World) -> Outcome {
    shell::note("Konnect keeps label keys that begin with `kong` to itself");
    world.apply(&portal("refused", &["labels: {kong-team: payments}"]))?;
    world.ready_reason("portal/refused", "InvalidSpec")?;
    let conditions = world.in_namespace(&["get", "portal/refused", "-o", CONDITIONS])?;
    expect(conditions.contains("kong-team") || conditions.contains("label"), "no condition names the label")?;
    expect(world.api.portals_named("refused")?.is_empty(), "the API has a portal of that name")?;
    world.in_namespace(&["delete", "portal/refused", "--timeout=60s"])?;
    Ok(())
}

fn stranger_adopted(world: &mut World) -> Outcome {
    let made_by_hand = json!({ "name": "partners", "description": "made by hand" });
    let id = world.sandbox.plant(ORGANIZATION, Plant::Portal(made_by_hand))?;
    shell::note(&format!("somebody makes a portal named partners at the API, with the id {id}"));
    world.apply(&portal("partners", &["description: Managed by Portico"]))?;
    world.ready_reason("portal/partners", "AlreadyExists")?;
    world.in_namespace(&["get", "portal/partners", "-o", CONDITIONS])?;
    world.api.shows(&id, "description", "made by hand")?;

    world.apply(&portal("partners", &["description: Managed by Portico", "lifecycle: {adoption: Adopt}"]))?;
    world.ready(&["portal/partners"])?;
    world.api.shows(&id, "description", "Managed by Portico")?;
    let recorded = world.recorded_id("portal/partners")?;
    expect(recorded == id, format!("the recorded id is {recorded:?}"))?;
    expect(world.api.portals_named("partners")?.len() == 1, "there is not exactly one portal named partners")
}

fn killed_in_the_middle(world: &mut World) -> Outcome {
    shell::note("the sandbox will make the next portal, and lose the answer on its way");
    world.sandbox.inject(Fault {
        operation: "create-portal".to_owned(),
        effect: Effect::LoseResponse,
        times: Some(1),
        organization: Some(ORGANIZATION.to_owned()),
    });
    world.apply(&portal("interrupted", &["description: Made once"]))?;
    let made = shell::poll(shell::CLOSELY, || {
        let made = world.api.portals_named("interrupted")?;
        expect(!made.is_empty(), "the API has no portal named interrupted")?;
        Ok(made)
    });
    // At once, and also where the poll failed, so that the steps after this one find Portico running.
    world.operator.kill()?;
    world.sandbox.clear_faults();
    let recorded = world.recorded_id("portal/interrupted");
    world.operator.restart()?;
    let id = made?[0]["id"].as_str().unwrap_or_default().to_owned();
    let recorded = recorded?;
    expect(recorded.is_empty(), format!("killed too late: the id {recorded} had been recorded"))?;
    shell::note(&format!("the API had made {id}, and no id was recorded when Portico was killed"));
    world.ready(&["portal/interrupted"])?;
    let portals = world.api.show_portals()?;
    let count = portals.iter().filter(|portal| portal["name"] == "interrupted").count();
    expect(count == 1, format!("there are {count} portals named interrupted"))?;
    let recorded = world.recorded_id("portal/interrupted")?;
    expect(recorded == id, format!("the recorded id is {recorded:?}"))
}

fn token_rotated(world: &mut World) -> Outcome {
    let old = world.api.token().to_owned();
    let new = world.sandbox.organization(ORGANIZATION);
    world.sandbox.revoke(&old);
    world.api.set_token(new);
    world.write_files()?;
    shell::note("a new token is made, and the old one revoked, before the Secret has the new one");
    world.ready_reason(CONNECTION, "CredentialRejected")?;
    world.in_namespace(&["get", CONNECTION, "-o", CONDITIONS])?;
    world.in_namespace(&["apply", "-f", SECRET])?;
    world.ready(&[CONNECTION])?;
    describe(world, "Sent with the new token")?;
    let id = world.recorded_id(PORTAL)?;
    world.api.shows(&id, "description", "Sent with the new token")?;
    world.ready(&[PORTAL])
}

fn namespace_deleted(world: &mut World) -> Outcome {
    let id = world.recorded_id(PORTAL)?;
    for email in ["ann@example.com", "bob@example.com"] {
        let developer = Plant::Developer { portal: id.clone(), email: email.to_owned(), status: "approved".to_owned() };
        world.sandbox.plant(ORGANIZATION, developer)?;
        shell::note(&format!("{email} signs up as a developer of the portal"));
    }
    world.in_namespace(&["patch", PORTAL, "--type=merge", "-p", r#"{"spec":{"forceDelete":true}}"#])?;
    world.ready(&[PORTAL])?;
    world.kubectl(&["delete", "namespace", NAMESPACE, "--timeout=60s"])?;
    let portals = world.api.show_portals()?;
    expect(portals.len() == 1 && portals[0]["name"] == STRANGER, "that is not what is left at Konnect")?;
    let left = acp::made(world);
    expect(left.is_empty(), format!("in the tenant are still {}", left.join(", ")))
}

/// Changes the description in the manifest of the examples' portal.
fn describe(world: &World, description: &str) -> Outcome {
    let patch = json!({ "spec": { "description": description } }).to_string();
    world.in_namespace(&["patch", PORTAL, "--type=merge", "-p", &patch])?;
    Ok(())
}

/// The manifest of a portal, with these lines in its spec.
fn portal(name: &str, lines: &[&str]) -> String {
    let mut manifest = format!(
        "apiVersion: konnect.portico.dev/v1alpha1\nkind: Portal\nmetadata:\n  name: {name}\nspec:\n  \
         connectionRef: {{name: acme}}\n"
    );
    for line in lines {
        writeln!(manifest, "  {line}").expect("writing to a string cannot fail");
    }
    manifest
}

fn has_id(portals: &[Value], id: &str) -> bool {
    portals.iter().any(|portal| portal["id"] == id)
}
