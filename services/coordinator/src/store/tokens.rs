//! Tokens of people and tools.

use std::io;

use federation::{Digest, Timestamp, TokenName, limits};
use sqlx::SqliteConnection;

use super::audit;
use super::deed::{By, Deed, NotDone, Reply};
use super::error::{Corrupt, Fault};
use super::nodes::to_json;
use super::row::{digest, int, int_or_none, sql, text};
use super::{Store, StoreError};
use crate::access::Scope;

/// An API token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiToken {
    /// Its number.
    pub(crate) id: u64,
    /// What people call it.
    pub(crate) name: TokenName,
    /// What it is good for.
    pub(crate) scope: Scope,
    /// Digest of its secret.
    pub(crate) hash: Digest,
    /// When it was made.
    pub(crate) created_ms: u64,
    /// From when on it does not hold any more.
    pub(crate) expires_ms: Option<u64>,
    /// When it was revoked.
    pub(crate) revoked_ms: Option<u64>,
    /// When it was last used; written seldom.
    pub(crate) used_ms: Option<u64>,
}

/// A token to make.
#[derive(Clone, Debug)]
pub(crate) struct NewToken {
    /// What people call it.
    pub(crate) name: TokenName,
    /// What it is good for.
    pub(crate) scope: Scope,
    /// From when on it does not hold any more.
    pub(crate) expires_ms: Option<u64>,
    /// Digest of its secret.
    pub(crate) hash: Digest,
}

/// There are as many tokens that hold as fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyTokens;

/// No token has this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnknownToken;

#[derive(sqlx::FromRow)]
struct TokenRow {
    id: i64,
    name: String,
    scope: String,
    hash: Vec<u8>,
    created_ms: i64,
    expires_ms: Option<i64>,
    revoked_ms: Option<i64>,
    used_ms: Option<i64>,
}

impl TryFrom<TokenRow> for ApiToken {
    type Error = Corrupt;

    fn try_from(row: TokenRow) -> Result<Self, Corrupt> {
        Ok(Self {
            id: int("tokens.id", row.id)?,
            name: text("tokens.name", &row.name)?,
            scope: text("tokens.scope", &row.scope)?,
            hash: digest("tokens.hash", &row.hash)?,
            created_ms: int("tokens.created_ms", row.created_ms)?,
            expires_ms: int_or_none("tokens.expires_ms", row.expires_ms)?,
            revoked_ms: int_or_none("tokens.revoked_ms", row.revoked_ms)?,
            used_ms: int_or_none("tokens.used_ms", row.used_ms)?,
        })
    }
}

impl Store {
    /// Makes a token.
    pub(crate) async fn create_token(
        &self,
        new: NewToken,
        deed: Deed<ApiToken>,
    ) -> Result<Result<Reply, NotDone<TooManyTokens>>, StoreError> {
        self.deed("create_token", deed, async move |tx: &mut SqliteConnection, by: &By| {
            let holding: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM tokens
                 WHERE revoked_ms IS NULL AND coalesce(expires_ms > ?, TRUE)",
            )
            .bind(sql(by.at.0))
            .fetch_one(&mut *tx)
            .await?;
            if int::<usize>("count", holding)? >= limits::TOKENS_MAX {
                return Ok(Err(TooManyTokens));
            }
            Ok(Ok(insert(tx, &new, by).await?))
        })
        .await
    }

    /// Makes the first token, and gives its number. `tell` is told it before the commit, and when it fails nothing is
    /// made.
    pub(crate) async fn first_token(
        &self,
        new: NewToken,
        now: Timestamp,
        tell: impl FnOnce(u64) -> io::Result<()> + Send + 'static,
    ) -> Result<u64, StoreError> {
        self.write("first_token", async move |tx: &mut SqliteConnection| {
            let by = By { actor: audit::OPERATOR.to_owned(), at: now };
            let ApiToken { id, .. } = insert(tx, &new, &by).await?;
            tell(id).map_err(sqlx::Error::Io)?;
            Ok(id)
        })
        .await
    }

    /// Revokes a token. One that is revoked stays as it is.
    pub(crate) async fn revoke_token(
        &self,
        id: u64,
        deed: Deed<ApiToken>,
    ) -> Result<Result<Reply, NotDone<UnknownToken>>, StoreError> {
        self.deed("revoke_token", deed, async move |tx: &mut SqliteConnection, by: &By| {
            let query = "UPDATE tokens SET revoked_ms = ? WHERE id = ? AND revoked_ms IS NULL";
            let now = sql(by.at.0);
            let revoked = sqlx::query(query).bind(now).bind(sql(id)).execute(&mut *tx).await?;
            if revoked.rows_affected() > 0 {
                audit::token_revoked(tx, audit::TOKEN, id, by).await?;
            }
            Ok(find(tx, id).await?.ok_or(UnknownToken))
        })
        .await
    }

    /// The token with this number.
    pub(crate) async fn token(&self, id: u64) -> Result<Option<ApiToken>, StoreError> {
        self.read("token", async move |tx: &mut SqliteConnection| find(tx, id).await).await
    }

    /// Up to `limit` tokens with numbers after `after`, in order.
    pub(crate) async fn tokens(&self, after: u64, limit: u32) -> Result<Vec<ApiToken>, StoreError> {
        self.read("tokens", async move |tx: &mut SqliteConnection| {
            let rows: Vec<TokenRow> =
                sqlx::query_as("SELECT * FROM tokens WHERE id > ? ORDER BY id LIMIT ?")
                    .bind(sql(after))
                    .bind(limit)
                    .fetch_all(tx)
                    .await?;
            Ok(rows.into_iter().map(ApiToken::try_from).collect::<Result<_, _>>()?)
        })
        .await
    }

    /// The tokens that were not revoked.
    pub(crate) async fn valid_tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        self.read("valid_tokens", async move |tx: &mut SqliteConnection| {
            let rows: Vec<TokenRow> =
                sqlx::query_as("SELECT * FROM tokens WHERE revoked_ms IS NULL")
                    .fetch_all(tx)
                    .await?;
            Ok(rows.into_iter().map(ApiToken::try_from).collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Writes when tokens were last used.
    pub(crate) async fn note_used(&self, used: Vec<(u64, Timestamp)>) -> Result<(), StoreError> {
        self.write("note_used", async move |tx: &mut SqliteConnection| {
            let used: Vec<(u64, u64)> = used.into_iter().map(|(id, at)| (id, at.0)).collect();
            sqlx::query(
                "UPDATE tokens SET used_ms = max(coalesce(used_ms, 0), j.value ->> 1)
                 FROM json_each(?) j WHERE tokens.id = j.value ->> 0",
            )
            .bind(to_json(&used))
            .execute(tx)
            .await?;
            Ok(())
        })
        .await
    }
}

async fn insert(tx: &mut SqliteConnection, new: &NewToken, by: &By) -> Result<ApiToken, Fault> {
    let NewToken { name, scope, expires_ms, hash } = new;
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO tokens (name, scope, hash, created_ms, expires_ms)
         VALUES (?, ?, ?, ?, ?) RETURNING id",
    )
    .bind(name.as_str())
    .bind(scope.as_str())
    .bind(&hash.0[..])
    .bind(sql(by.at.0))
    .bind(expires_ms.map(sql))
    .fetch_one(&mut *tx)
    .await?;
    let id = int("tokens.id", id)?;
    audit::token_created(tx, id, new, by).await?;
    let found = find(tx, id).await?;
    Ok(found
        .ok_or(Corrupt { column: "tokens.id", got: format!("{id}, which was just written") })?)
}

async fn find(tx: &mut SqliteConnection, id: u64) -> Result<Option<ApiToken>, Fault> {
    let row: Option<TokenRow> = sqlx::query_as("SELECT * FROM tokens WHERE id = ?")
        .bind(sql(id))
        .fetch_optional(tx)
        .await?;
    Ok(row.map(ApiToken::try_from).transpose()?)
}
