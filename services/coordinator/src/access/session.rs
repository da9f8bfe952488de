//! Sessions of browsers: somebody who showed a token once and is known by a cookie from then on.
//!
//! In memory, by the cookie's digest: a restart ends them all, and so does the token's end. A session is worth what its
//! token is worth at the time of each request.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use federation::secret::same;
use federation::{Clock, Digest, Entropy};

use super::{Access, Pass, Stranger};

/// How long a session lasts: a day's work. Whoever stays signs in again.
pub(crate) const SESSION_S: u64 = 12 * 3_600;
/// Most sessions; of more, the oldest ends. A token can be shown often, and each time makes one.
const SESSIONS_MAX: usize = 1_024;

/// Who is signed in.
#[derive(Debug)]
pub(super) struct Sessions {
    by_cookie: Mutex<BTreeMap<Digest, Session>>,
    /// From which the tokens of forms are made.
    key: [u8; 32],
}

#[derive(Debug)]
struct Session {
    token: u64,
    hash: Digest,
    ends_ms: u64,
}

impl Sessions {
    /// Nobody.
    pub(super) fn new(entropy: &dyn Entropy) -> Self {
        let mut key = [0; 32];
        entropy.fill(&mut key);
        Self { by_cookie: Mutex::default(), key }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, Session>> {
        self.by_cookie.lock().expect("no code panics while it holds the sessions")
    }
}

impl Access {
    /// Signs somebody in who shows a token that holds, and gives the session's secret: told once.
    pub(crate) fn sign_in(&self, token: &str, clock: &dyn Clock) -> Result<String, Stranger> {
        let pass = self.let_in(token, clock)?;
        let cookie = self.nonce();
        let now_ms = clock.wall().0;
        let ends_ms = now_ms.saturating_add(SESSION_S * 1_000);
        let session = Session { token: pass.id, hash: pass.seat.hash, ends_ms };
        let mut sessions = self.sessions.lock();
        sessions.retain(|_, session| session.ends_ms > now_ms);
        if sessions.len() >= SESSIONS_MAX
            && let Some(oldest) = sessions.iter().min_by_key(|one| one.1.ends_ms).map(|one| *one.0)
        {
            sessions.remove(&oldest);
        }
        sessions.insert(Digest::of(cookie.as_bytes()), session);
        Ok(cookie)
    }

    /// Lets somebody in who signed in before, and gives the session's name.
    pub(crate) fn come_back(
        &self,
        cookie: &str,
        clock: &dyn Clock,
    ) -> Result<(Pass, Digest), Stranger> {
        let name = Digest::of(cookie.as_bytes());
        let mut sessions = self.sessions.lock();
        let Session { token, hash, ends_ms } = sessions.get(&name).ok_or(Stranger::Unknown)?;
        if *ends_ms <= clock.wall().0 {
            sessions.remove(&name);
            return Err(Stranger::Expired);
        }
        let (token, hash) = (*token, *hash);
        drop(sessions);
        Ok((self.take(token, &hash, clock)?, name))
    }

    /// Ends a session.
    pub(crate) fn sign_out(&self, session: &Digest) {
        self.sessions.lock().remove(session);
    }

    /// How many are signed in, as far as is known.
    pub(crate) fn sessions(&self) -> usize {
        self.sessions.lock().len()
    }

    /// What a form of this session must bring; where nobody signs in, of this process.
    pub(crate) fn form_token(&self, session: Option<&Digest>) -> String {
        let session = session.map_or([0; 32], |session| session.0);
        Digest::of(&[&self.sessions.key[..], &session[..]].concat()).to_string()
    }

    /// Whether a form brought what it must.
    pub(crate) fn is_form_token(&self, session: Option<&Digest>, shown: &str) -> bool {
        let wanted = Digest::of(self.form_token(session).as_bytes());
        same(&wanted, &Digest::of(shown.as_bytes()))
    }

    /// A text that nobody can guess.
    pub(crate) fn nonce(&self) -> String {
        let mut bytes = [0; 32];
        self.entropy.fill(&mut bytes);
        hex::encode(bytes)
    }
}
