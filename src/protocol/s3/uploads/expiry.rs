//! Removing uploads that nobody completed within a day.
//!
//! Must not know when it is called.

use std::time::SystemTime;

use super::stored::is_over;
use crate::cache::CacheError;
use crate::key::{Namespace, ObjectName};
use crate::object::Precondition;
use crate::protocol::Context;

/// Objects looked at in one go.
const BATCH: usize = 1000;

/// Removes every part and every record that is over a day old at `now`. Returns how many.
///
/// # Errors
/// Those of listing and deleting.
pub(in crate::protocol) async fn expire(context: &Context, now: SystemTime) -> Result<usize, CacheError> {
    let uploads = Namespace::uploads();
    let (mut after, mut removed) = (None::<String>, 0);
    loop {
        let rows = context.cache.list(&uploads, "", after.as_deref(), BATCH).await?;
        let is_last = rows.len() < BATCH;
        for row in rows {
            after = Some(row.key.as_str().to_owned());
            if is_over(row.info.modified(), now) {
                let name = ObjectName { namespace: uploads.clone(), key: row.key };
                removed += usize::from(context.cache.delete(&name, Precondition::None).await?);
            }
        }
        if is_last {
            return Ok(removed);
        }
    }
}
