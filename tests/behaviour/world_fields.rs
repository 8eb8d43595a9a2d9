//! Worlds whose Konnect behaves otherwise than usual.
use portico::remote::AllowList;
use portico_sandbox::{Options, Sandbox};

use crate::world::World;

impl World {
    /// A world with sandbox options of its own, in which nothing runs and only the Secret `konnect` exists.
    pub(crate) async fn with(name: &str, options: Options) -> Self {
        let mut world = Self::still(name).await;
        world.sandbox = Sandbox::new(options);
        world.server = world.sandbox.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
        world.settings.allow = AllowList::new(&[world.server.url()]).unwrap();
        world.token = world.sandbox.organization("acme");
        world.secret("konnect", &world.token).await;
        world
    }
}
