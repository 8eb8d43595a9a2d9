//! Deleting an object, and making sure of it: a 404 to a DELETE may mean that the path was wrong, and is not "gone" while the API shows
//! the object.
use http::Method;
use tokio::time::Instant;

use super::{observe::Read, pass::Pass, reason::Reason, stop::Stop};
use crate::remote::{ApiError, Call, Link, Place};

impl Pass<'_> {
    /// Deletes an object whose resource lives on: to make it again, or because it is there twice. Its pass may have begun before the CRD
    /// was deleted, and would wipe what an uninstall leaves (law 6).
    ///
    /// # Errors
    /// [`Stop`] where the CRD is being deleted or cannot be read, and as [`Pass::delete_object`].
    pub async fn delete_while_installed(&mut self, link: &Link, place: &Place) -> Result<bool, Stop> {
        if !self.engine.kube.is_crd_live(self.ops.info()).await? {
            let message = format!("{} stays, because the CustomResourceDefinition is being deleted", place.path);
            let at = Instant::now() + self.engine.settings.stalled;
            return Err(Stop::wait_until(Reason::Deleting, message, at));
        }
        self.delete_object(link, place).await
    }

    /// Deletes an object; when this returns it is certainly not there. Says whether it was.
    ///
    /// # Errors
    /// [`Stop`] where the API refuses, or shows the object still.
    pub async fn delete_object(&mut self, link: &Link, place: &Place) -> Result<bool, Stop> {
        let query = self.ops.deletion_query(&self.object).map(str::to_owned);
        let was_there = match self.send(link, Call::new(Method::DELETE, &place.path).query(query)).await {
            Ok(_) => true,
            Err(ApiError::Absent(words)) => match self.read(link, place).await? {
                Read::Absent | Read::ParentAbsent(_) => false,
                Read::Found(_) => {
                    let why = format!(
                        "a DELETE of {} was answered with HTTP 404 ({words}), and the API still shows it",
                        place.path
                    );
                    return Err(Self::stop(link, ApiError::Unavailable(why)));
                }
            },
            Err(error) => return Err(Self::stop(link, error)),
        };
        self.note_gone(link, &place.path);
        Ok(was_there)
    }
}
