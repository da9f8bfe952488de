//! Enrolment tokens, by which nodes get in. Who gets in is for `register` to say.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use federation::{Digest, TokenName};
use sqlx::SqliteConnection;

use super::deed::{By, Deed, NotDone, Reply};
use super::error::{Corrupt, Fault};
use super::nodes::to_json;
use super::row::{digest, int, int_or_none, json, sql, text};
use super::tokens::UnknownToken;
use super::{Store, StoreError, audit};

/// A token with which nodes enrol, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EnrolmentToken {
    /// Its number.
    pub(crate) id: u64,
    /// What people call it.
    pub(crate) name: TokenName,
    /// Digest of its secret.
    pub(crate) hash: Digest,
    /// What its nodes carry, whatever they say.
    pub(crate) labels: BTreeMap<String, String>,
    /// How many nodes it may let in.
    pub(crate) uses_max: u32,
    /// How many it has let in.
    pub(crate) uses: u32,
    /// When it was made.
    pub(crate) created_ms: u64,
    /// From when on it does not hold any more.
    pub(crate) expires_ms: Option<u64>,
    /// When it was revoked.
    pub(crate) revoked_ms: Option<u64>,
}

/// An enrolment token to make.
#[derive(Clone, Debug)]
pub(crate) struct NewEnrolmentToken {
    /// What people call it.
    pub(crate) name: TokenName,
    /// What its nodes carry, whatever they say.
    pub(crate) labels: BTreeMap<String, String>,
    /// How many nodes it may let in.
    pub(crate) uses_max: u32,
    /// From when on it does not hold any more.
    pub(crate) expires_ms: Option<u64>,
    /// Digest of its secret.
    pub(crate) hash: Digest,
}

#[derive(sqlx::FromRow)]
struct TokenRow {
    id: i64,
    name: String,
    hash: Vec<u8>,
    labels: String,
    uses_max: i64,
    uses: i64,
    created_ms: i64,
    expires_ms: Option<i64>,
    revoked_ms: Option<i64>,
}

impl TryFrom<TokenRow> for EnrolmentToken {
    type Error = Corrupt;

    fn try_from(row: TokenRow) -> Result<Self, Corrupt> {
        Ok(Self {
            id: int("enrolment_tokens.id", row.id)?,
            name: text("enrolment_tokens.name", &row.name)?,
            hash: digest("enrolment_tokens.hash", &row.hash)?,
            labels: json("enrolment_tokens.labels", &row.labels)?,
            uses_max: int("enrolment_tokens.uses_max", row.uses_max)?,
            uses: int("enrolment_tokens.uses", row.uses)?,
            created_ms: int("enrolment_tokens.created_ms", row.created_ms)?,
            expires_ms: int_or_none("enrolment_tokens.expires_ms", row.expires_ms)?,
            revoked_ms: int_or_none("enrolment_tokens.revoked_ms", row.revoked_ms)?,
        })
    }
}

impl Store {
    /// Makes an enrolment token.
    pub(crate) async fn create_enrolment_token(
        &self,
        new: NewEnrolmentToken,
        deed: Deed<EnrolmentToken>,
    ) -> Result<Result<Reply, NotDone<Infallible>>, StoreError> {
        let name = "create_enrolment_token";
        self.deed(name, deed, async move |tx: &mut SqliteConnection, by: &By| {
            let NewEnrolmentToken { name, labels, uses_max, expires_ms, hash } = &new;
            let id: i64 = sqlx::query_scalar(
                "INSERT INTO enrolment_tokens (name, hash, labels, uses_max, created_ms, expires_ms)
                 VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
            )
            .bind(name.as_str())
            .bind(&hash.0[..])
            .bind(to_json(labels))
            .bind(uses_max)
            .bind(sql(by.at.0))
            .bind(expires_ms.map(sql))
            .fetch_one(&mut *tx)
            .await?;
            let id = int("enrolment_tokens.id", id)?;
            audit::enrolment_token_created(tx, id, &new, by).await?;
            let written = format!("{id}, which was just written");
            let missing = Corrupt { column: "enrolment_tokens.id", got: written };
            Ok(Ok(find(tx, id).await?.ok_or(missing)?))
        })
        .await
    }

    /// Revokes an enrolment token: it lets in no more nodes. Those that it let in stay.
    pub(crate) async fn revoke_enrolment_token(
        &self,
        id: u64,
        deed: Deed<EnrolmentToken>,
    ) -> Result<Result<Reply, NotDone<UnknownToken>>, StoreError> {
        let name = "revoke_enrolment_token";
        self.deed(name, deed, async move |tx: &mut SqliteConnection, by: &By| {
            let revoked = sqlx::query(
                "UPDATE enrolment_tokens SET revoked_ms = ? WHERE id = ? AND revoked_ms IS NULL",
            )
            .bind(sql(by.at.0))
            .bind(sql(id))
            .execute(&mut *tx)
            .await?;
            if revoked.rows_affected() > 0 {
                audit::token_revoked(tx, audit::ENROLMENT_TOKEN, id, by).await?;
            }
            Ok(find(tx, id).await?.ok_or(UnknownToken))
        })
        .await
    }

    /// The enrolment token with this number.
    pub(crate) async fn enrolment_token(
        &self,
        id: u64,
    ) -> Result<Option<EnrolmentToken>, StoreError> {
        self.read("enrolment_token", async move |tx: &mut SqliteConnection| find(tx, id).await)
            .await
    }

    /// Up to `limit` enrolment tokens with numbers after `after`, in order.
    pub(crate) async fn enrolment_tokens(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<EnrolmentToken>, StoreError> {
        self.read("enrolment_tokens", async move |tx: &mut SqliteConnection| {
            let rows: Vec<TokenRow> =
                sqlx::query_as("SELECT * FROM enrolment_tokens WHERE id > ? ORDER BY id LIMIT ?")
                    .bind(sql(after))
                    .bind(limit)
                    .fetch_all(tx)
                    .await?;
            Ok(rows.into_iter().map(EnrolmentToken::try_from).collect::<Result<_, _>>()?)
        })
        .await
    }
}

/// Those of these enrolment tokens that there are.
pub(super) async fn find_all(
    tx: &mut SqliteConnection,
    ids: &BTreeSet<u64>,
) -> Result<BTreeMap<u64, EnrolmentToken>, Fault> {
    let ids: Vec<i64> = ids.iter().map(|&id| sql(id)).collect();
    let rows: Vec<TokenRow> = sqlx::query_as(
        "SELECT * FROM enrolment_tokens WHERE id IN (SELECT value FROM json_each(?))",
    )
    .bind(to_json(&ids))
    .fetch_all(tx)
    .await?;
    let token = |row| EnrolmentToken::try_from(row).map(|token| (token.id, token));
    Ok(rows.into_iter().map(token).collect::<Result<_, _>>()?)
}

/// Adds to how many nodes these enrolment tokens have let in.
pub(super) async fn add_uses(
    tx: &mut SqliteConnection,
    used: &BTreeMap<u64, u32>,
) -> Result<(), Fault> {
    let used: Vec<(i64, u32)> = used.iter().map(|(&id, &uses)| (sql(id), uses)).collect();
    sqlx::query(
        "UPDATE enrolment_tokens SET uses = uses + (j.value ->> 1) FROM json_each(?) j
         WHERE enrolment_tokens.id = j.value ->> 0",
    )
    .bind(to_json(&used))
    .execute(tx)
    .await?;
    Ok(())
}

async fn find(tx: &mut SqliteConnection, id: u64) -> Result<Option<EnrolmentToken>, Fault> {
    Ok(find_all(tx, &BTreeSet::from([id])).await?.remove(&id))
}
