//! The first token: made where nobody can ask over REST yet.

use std::path::{Path, PathBuf};

use federation::limits::TOKEN_LIFE_MS_MAX;
use federation::secret::{Kind, Secret};
use federation::{Clock, Entropy, TokenName};

use super::{Access, Scope};
use crate::files::put;
use crate::start::{self, StartError};
use crate::store::{NewToken, Sql, Store, StoreError};

/// The file in the data directory that holds the first admin token.
const FILE: &str = "admin.token";

/// What became of the first token.
#[derive(Debug)]
pub(crate) enum FirstToken {
    /// There is an admin token.
    NotNeeded,
    /// It is in this file.
    In(PathBuf),
}

/// A token to make in a data directory.
#[derive(Clone, Debug)]
pub struct NewAdminToken {
    /// What it is called.
    pub name: TokenName,
    /// What it is good for.
    pub scope: Scope,
    /// How long it holds; for good where there is none.
    pub expires_in_ms: Option<u64>,
}

/// Makes an admin token if there is none that holds, and leaves it in a file that its owner alone can read.
pub(crate) async fn first_token(
    access: &Access,
    store: &Store,
    dir: &Path,
    clock: &dyn Clock,
) -> Result<FirstToken, StoreError> {
    let now = clock.wall();
    let found = store.valid_tokens().await?;
    let holds = |expires_ms: Option<u64>| expires_ms.is_none_or(|expires_ms| now.0 < expires_ms);
    if found.iter().any(|token| token.scope == Scope::Admin && holds(token.expires_ms)) {
        return Ok(FirstToken::NotNeeded);
    }
    let file = dir.join(FILE);
    let secret = access.new_secret();
    let name: TokenName = "admin".parse().expect("it is a name");
    let new = NewToken { name, scope: Scope::Admin, expires_ms: None, hash: secret.digest() };
    // Written before the commit: there is never a token that nobody has.
    let to = file.clone();
    let tell = move |id| put(&to, &format!("{}\n", secret.text(Kind::Token, id)), 0o600);
    store.first_token(new, now, tell).await?;
    Ok(FirstToken::In(file))
}

/// Makes a token in the data directory `dir` of a coordinator that does not run, and gives its text.
///
/// # Errors
/// [`StartError`] says what stood in the way: a coordinator that runs, above all.
pub async fn create_token(
    dir: &Path,
    token: NewAdminToken,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<String, StartError> {
    let _lock = start::take_data_dir(dir)?;
    let store = start::open_store(dir, 0, &Sql::Awaited).await?;
    let now = clock.wall();
    let secret = Secret::new(entropy);
    let NewAdminToken { name, scope, expires_in_ms } = token;
    let expires_ms = expires_in_ms.map(|ms| now.0.saturating_add(ms.min(TOKEN_LIFE_MS_MAX)));
    let new = NewToken { name, scope, expires_ms, hash: secret.digest() };
    let made = store.first_token(new, now, |_| Ok(())).await;
    store.close().await;
    match made {
        Ok(id) => Ok(secret.text(Kind::Token, id)),
        Err(error) => Err(start::unwritable(dir, &error)),
    }
}
