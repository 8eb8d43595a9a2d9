//! Deleting an object, and making sure of it: a 404 to a DELETE may mean that the path was wrong, and is not "gone" while the API shows
//! the object.
use http::Method;

use super::{observe::Read, pass::Pass, stop::Stop};
use crate::remote::{ApiError, Call, Link, Place};

impl Pass<'_> {
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
