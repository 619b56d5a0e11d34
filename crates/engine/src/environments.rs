//! Environments: removed only where no session uses them, or by force.

use kernel::rules::{DocumentRefusal, environment};
use protocol::{EnvironmentId, environment::Environment};
use store::BatchWrite;

use crate::{
    Engine,
    documents::{DocumentChange, DocumentError},
};

impl Engine {
    /// Removes an environment, and gives the bytes of what is said of that. A session that is terminated is
    /// no hindrance, and with `force` none is: they go on.
    ///
    /// # Errors
    /// There is none; sessions use it.
    pub async fn delete_environment(
        &self,
        errand: DocumentChange<'_>,
        id: EnvironmentId,
        force: bool,
    ) -> Result<Vec<u8>, DocumentError> {
        self.drop_document::<Environment, _>(errand, id, || async {
            let sessions = self.store().using(id).await?;
            let sessions = usize::try_from(sessions).unwrap_or(usize::MAX);
            environment::delete(id, sessions, force).map_err(DocumentRefusal::from)?;
            // Nor may one come in between.
            Ok((!force).then_some(BatchWrite::ExpectUnused { environment: id }))
        })
        .await
    }
}
