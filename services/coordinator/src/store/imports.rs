//! Versions that no round made: somebody brings their content.

use federation::{Artifact, Digest, ModelName, RunId, VersionNumber};
use sqlx::SqliteConnection;

use super::deed::{By, Deed, NotDone, Reply};
use super::models::{Version, get_artifact, model_named, put_artifact, versions_after};
use super::row::sql;
use super::runs::{artifact as parse, live_run};
use super::{Store, StoreError, audit};

/// What became of a version that was brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Imported {
    /// It is the newest version now.
    New(Version),
    /// The newest version has the same content.
    Same(Version),
}

/// Why a version was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotImported {
    /// No model has the name.
    UnknownModel,
    /// This run moves the model.
    ModelBusy(RunId),
    /// Its learner or layout is not the model's.
    OtherModel,
}

impl Store {
    /// Makes `artifact` the newest version of a model, whose parent is the one before.
    pub(crate) async fn import_version(
        &self,
        name: ModelName,
        artifact: Artifact,
        deed: Deed<Imported>,
    ) -> Result<Result<Reply, NotDone<NotImported>>, StoreError> {
        self.deed("import_version", deed, async move |tx: &mut SqliteConnection, by: &By| {
            let Some(model) = model_named(tx, &name).await? else {
                return Ok(Err(NotImported::UnknownModel));
            };
            if let Some(run) = live_run(tx, &name).await? {
                return Ok(Err(NotImported::ModelBusy(run)));
            }
            let before = get_artifact(tx, model.latest_digest).await?;
            let before = parse(&before.ok_or(sqlx::Error::RowNotFound)?)?;
            if (before.learner(), before.layout()) != (artifact.learner(), artifact.layout()) {
                return Ok(Err(NotImported::OtherModel));
            }
            let bytes = artifact.encode();
            let digest = Digest::of(&bytes);
            let number = VersionNumber(model.latest.0.saturating_add(1));
            let same = digest == model.latest_digest;
            if !same {
                put_artifact(tx, digest, &bytes).await?;
                sqlx::query(
                    "INSERT INTO versions (model, number, digest, parent, created_ms) VALUES (?, ?, ?, ?, ?)",
                )
                .bind(name.as_str())
                .bind(number.0)
                .bind(&digest.0[..])
                .bind(model.latest.0)
                .bind(sql(by.at.0))
                .execute(&mut *tx)
                .await?;
                audit::version_imported(tx, &name, number, by).await?;
            }
            let before = if same { model.latest.0.saturating_sub(1) } else { model.latest.0 };
            let version = versions_after(tx, &name, before, 1).await?.into_iter().next();
            let version = version.ok_or(sqlx::Error::RowNotFound)?;
            Ok(Ok(if same { Imported::Same(version) } else { Imported::New(version) }))
        })
        .await
    }
}
