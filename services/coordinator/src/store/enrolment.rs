//! How a node gets in: enrolment, and the tokens for it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use federation::secret::same;
use federation::{
    Answer, Digest, Enrolment, NodeId, Refusal, RefusalCode, Timestamp, TokenName, limits,
};
use sqlx::SqliteConnection;
use tokio::sync::oneshot;

use super::applicants::Applicant;
use super::deed::{By, Deed, NotDone, Reply};
use super::error::{Corrupt, Fault};
use super::nodes::{self, Node, to_json};
use super::row::{digest, digest_or_none, int, int_or_none, json, sql, text};
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

/// By what a node gets in.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    /// By nothing: no tokens are wanted.
    Open,
    /// By the credential of the node `shown`, which holds; or by an enrolment token: its number, the digest of its
    /// secret, and that of the credential which the node will show. The proof is signed.
    Guarded {
        /// The node whose credential was shown.
        shown: Option<NodeId>,
        /// The proof.
        proof: Option<(u64, Digest, Digest)>,
    },
}

/// What a token gives to a node.
#[derive(Debug, Default)]
struct Granted {
    token: Option<u64>,
    /// Given anew: what the node will show.
    credential: Option<Digest>,
    labels: BTreeMap<String, String>,
}

#[derive(sqlx::FromRow)]
struct KnownRow {
    id: String,
    credential: Option<Vec<u8>>,
    enrolment_token: Option<i64>,
    revoked_ms: Option<i64>,
}

/// A node that enrolled before.
#[derive(Debug)]
struct Known {
    id: NodeId,
    credential: Option<Digest>,
    token: Option<u64>,
    revoked: bool,
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

impl TryFrom<KnownRow> for Known {
    type Error = Corrupt;

    fn try_from(row: KnownRow) -> Result<Self, Corrupt> {
        Ok(Self {
            id: text("nodes.id", &row.id)?,
            credential: digest_or_none("nodes.credential", row.credential.as_deref())?,
            token: int_or_none("nodes.enrolment_token", row.enrolment_token)?,
            revoked: row.revoked_ms.is_some(),
        })
    }
}

impl Store {
    /// Makes a node known, if `entry` lets it in. The same key again is the same node, whatever name it asks for; its
    /// labels and learners are refreshed. Enrolments that wait for the writer are made in one transaction: a fleet that
    /// comes at once does not pay a sync for each node.
    pub(crate) async fn enrol(
        &self,
        enrolment: Enrolment,
        entry: Entry,
        now: Timestamp,
    ) -> Result<Answer<Node>, StoreError> {
        let (reply, mut answer) = oneshot::channel();
        let alone = (enrolment.clone(), entry.clone());
        self.enrolments.put(Applicant { enrolment, entry, now, reply });
        let enrolments = Arc::clone(&self.enrolments);
        // Whoever's turn it is first takes all who wait; the others find that they were taken.
        let done = self.write("enrol", async move |tx: &mut SqliteConnection| {
            let mut group = Vec::new();
            for Applicant { enrolment, entry, now, reply } in enrolments.take() {
                group.push((enrol(tx, enrolment, entry, now).await?, reply));
            }
            Ok(group)
        });
        for (answer, reply) in done.await? {
            // Who hung up asks again.
            let _ = reply.send(answer);
        }
        match (&mut answer).await {
            Ok(answer) => Ok(answer),
            // Whoever had taken this one failed, or hung up: what it did can be done again.
            Err(_) => {
                let (enrolment, entry) = alone;
                self.write("enrol", async move |tx: &mut SqliteConnection| {
                    enrol(tx, enrolment, entry, now).await
                })
                .await
            }
        }
    }

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

/// Makes a node known within a transaction.
async fn enrol(
    tx: &mut SqliteConnection,
    enrolment: Enrolment,
    entry: Entry,
    now: Timestamp,
) -> Result<Answer<Node>, Fault> {
    let Enrolment { public_key, node, mut labels, learners, proof: _ } = enrolment;
    let known: Option<KnownRow> = sqlx::query_as(
        "SELECT id, credential, enrolment_token, revoked_ms FROM nodes WHERE public_key = ?",
    )
    .bind(&public_key[..])
    .fetch_optional(&mut *tx)
    .await?;
    let known = known.map(Known::try_from).transpose()?;
    if let Some(known) = known.as_ref().filter(|known| known.revoked) {
        return Ok(Err(crate::core::revoked(&known.id)));
    }
    if known.is_none() && is_taken(tx, &node).await? {
        let expected = "a name that no other node holds";
        return Ok(Err(Refusal::new(RefusalCode::NameTaken, "node_id", expected, node)));
    }
    let granted = match grant(tx, known.as_ref(), entry, now).await? {
        Ok(granted) => granted,
        Err(refusal) => return Ok(Err(refusal)),
    };
    labels.extend(granted.labels);
    if labels.len() > limits::LABELS_MAX {
        let expected = format!("at most {}, those of the token included", limits::LABELS_MAX);
        let (code, got) = (RefusalCode::LabelsTooMany, labels.len());
        return Ok(Err(Refusal::new(code, "labels", expected, got)));
    }
    sqlx::query(
        "INSERT INTO nodes (id, public_key, labels, learners, enrolled_ms, seen_ms, credential, enrolment_token)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7)
         ON CONFLICT (public_key) DO UPDATE SET
             labels = excluded.labels, learners = excluded.learners,
             seen_ms = max(seen_ms, excluded.seen_ms),
             credential = coalesce(excluded.credential, credential),
             enrolment_token = coalesce(excluded.enrolment_token, enrolment_token)",
    )
    .bind(known.as_ref().map_or(&node, |known| &known.id).as_str())
    .bind(&public_key[..])
    .bind(to_json(&labels))
    .bind(to_json(&learners))
    .bind(sql(now.0))
    .bind(granted.credential.map(|credential| credential.0.to_vec()))
    .bind(granted.token.map(sql))
    .execute(&mut *tx)
    .await?;
    match (&known, granted.credential) {
        (None, _) => {
            audit::node_enrolled(tx, &node, &public_key, &labels, granted.token, now).await?;
        }
        (Some(known), Some(credential)) if known.credential != Some(credential) => {
            audit::credential_replaced(tx, &known.id, granted.token, now).await?;
        }
        (Some(_), _) => {}
    }
    Ok(Ok(nodes::by_key(tx, &public_key).await?))
}

async fn is_taken(tx: &mut SqliteConnection, name: &NodeId) -> Result<bool, Fault> {
    let query = "SELECT EXISTS (SELECT 1 FROM nodes WHERE id = ?)";
    Ok(sqlx::query_scalar(query).bind(name.as_str()).fetch_one(tx).await?)
}

/// What a node gets by `entry`, or why it does not get in. A use of a token is counted once for each node.
async fn grant(
    tx: &mut SqliteConnection,
    known: Option<&Known>,
    entry: Entry,
    now: Timestamp,
) -> Result<Answer<Granted>, Fault> {
    let proof = match entry {
        // It keeps the labels of the token that let it in once.
        Entry::Open => return Ok(Ok(kept(tx, known).await?)),
        Entry::Guarded { shown: Some(shown), .. }
            if known.is_some_and(|known| known.id == shown) =>
        {
            return Ok(Ok(kept(tx, known).await?));
        }
        Entry::Guarded { proof, .. } => proof,
    };
    let refuse =
        |code, expected: &str, got: &str| Ok(Err(Refusal::new(code, "proof.token", expected, got)));
    let Some((id, hash, credential)) = proof else {
        let (code, expected) = (RefusalCode::EnrolmentTokenMissing, "an enrolment token");
        return refuse(code, expected, "neither one nor the credential of this node");
    };
    let Some(token) = find(tx, id).await?.filter(|token| same(&token.hash, &hash)) else {
        let expected = "a token that this coordinator gave out";
        return refuse(RefusalCode::EnrolmentTokenUnknown, expected, "another");
    };
    if token.revoked_ms.is_some() {
        return refuse(
            RefusalCode::EnrolmentTokenRevoked,
            "a token that holds",
            "one that was revoked",
        );
    }
    if token.expires_ms.is_some_and(|expires_ms| expires_ms <= now.0) {
        return refuse(
            RefusalCode::EnrolmentTokenExpired,
            "a token that holds",
            "one whose time is over",
        );
    }
    if known.and_then(|known| known.token) != Some(id) {
        if token.uses >= token.uses_max {
            let got = format!("one that let in {} nodes, as many as it may", token.uses);
            let expected = "a token with uses left";
            return refuse(RefusalCode::EnrolmentTokenExhausted, expected, &got);
        }
        let query = "UPDATE enrolment_tokens SET uses = uses + 1 WHERE id = ?";
        sqlx::query(query).bind(sql(id)).execute(tx).await?;
    }
    Ok(Ok(Granted { token: Some(id), credential: Some(credential), labels: token.labels }))
}

/// What a node has that is known already.
async fn kept(tx: &mut SqliteConnection, known: Option<&Known>) -> Result<Granted, Fault> {
    let Some(id) = known.and_then(|known| known.token) else { return Ok(Granted::default()) };
    let token = find(tx, id).await?;
    let labels = token.map(|token| token.labels).unwrap_or_default();
    Ok(Granted { token: Some(id), credential: None, labels })
}

async fn find(tx: &mut SqliteConnection, id: u64) -> Result<Option<EnrolmentToken>, Fault> {
    let row: Option<TokenRow> = sqlx::query_as("SELECT * FROM enrolment_tokens WHERE id = ?")
        .bind(sql(id))
        .fetch_optional(tx)
        .await?;
    Ok(row.map(EnrolmentToken::try_from).transpose()?)
}
