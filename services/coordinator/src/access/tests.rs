//! Guesses and last uses, without sockets.

use std::net::IpAddr;
use std::sync::Arc;

use federation::Entropy;
use federation::limits::{GUESSERS_MAX, TOKEN_OPEN_MAX};
use federation::secret::{Kind, Secret};

use super::*;
use crate::entropy::SystemEntropy;
use crate::store::NewToken;
use crate::testing::{StillClock, World, done};

/// A seeded source: only tests have one.
#[derive(Debug)]
struct Fixed(u8);
impl Entropy for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

fn access() -> Access {
    Access::new(Auth::Tokens, Auth::Tokens, Arc::new(SystemEntropy))
}

/// How many wrong secrets may come from `peer` now.
fn guesses_left(access: &Access, peer: &str, clock: &StillClock) -> usize {
    let peer: Option<IpAddr> = Some(peer.parse().unwrap());
    (0..1_000).take_while(|_| access.guessed(peer, clock).is_ok()).count()
}

#[test]
fn who_guesses_is_held_back_by_address_and_only_for_a_while() {
    let (access, clock) = (access(), StillClock::new());
    assert_eq!(guesses_left(&access, "10.0.0.1", &clock), 10);
    assert_eq!(access.guessed(Some("10.0.0.1".parse().unwrap()), &clock), Err(5_000));
    assert_eq!(guesses_left(&access, "::ffff:10.0.0.1", &clock), 0, "the same address");
    assert_eq!(guesses_left(&access, "10.0.0.2", &clock), 10);
    assert_eq!(guesses_left(&access, "2001:db8::1", &clock), 10);
    assert_eq!(guesses_left(&access, "2001:db8::2", &clock), 0, "the same network");
    assert_eq!(guesses_left(&access, "2001:db8:0:1::1", &clock), 10);
    clock.advance(10_000);
    assert_eq!(guesses_left(&access, "10.0.0.1", &clock), 2);
}

#[test]
fn many_who_guess_take_no_more_memory_and_do_not_push_out_who_guesses_most() {
    let (access, clock) = (access(), StillClock::new());
    assert_eq!(guesses_left(&access, "9.9.9.9", &clock), 10);
    for number in 0..2 * u32::try_from(GUESSERS_MAX).unwrap() {
        access.guessed(Some(IpAddr::V4(number.into())), &clock).unwrap();
    }
    assert_eq!(access.guesses.lock().unwrap().len(), GUESSERS_MAX);
    assert_eq!(guesses_left(&access, "9.9.9.9", &clock), 0);
    clock.advance(60_000);
    access.guessed(Some("1.1.1.1".parse().unwrap()), &clock).unwrap();
    assert_eq!(access.guesses.lock().unwrap().len(), 1, "who has used up nothing is forgotten");
}

#[test]
fn two_coordinators_draw_different_secrets_and_the_same_only_from_the_same_seed() {
    let secrets = [access().new_secret(), access().new_secret()];
    assert_ne!(secrets[0], secrets[1]);
    let seeded = || Access::new(Auth::Tokens, Auth::Tokens, Arc::new(Fixed(7))).new_secret();
    assert_eq!(seeded(), seeded());
}

#[tokio::test]
async fn a_token_is_let_in_from_memory_and_its_last_use_is_written_seldom() {
    let world = World::new().await;
    let (store, access, clock) = (&world.core.store, access(), &*world.clock);
    let secret = Secret::new(&SystemEntropy);
    let new = NewToken {
        name: "ci".parse().unwrap(),
        scope: Scope::Operate,
        expires_ms: Some(clock.wall().0 + 100_000),
        hash: secret.digest(),
    };
    let made = done(clock.wall(), |deed| store.create_token(new, deed)).await.unwrap().unwrap();
    let text = secret.text(Kind::Token, made.id);
    assert_eq!(access.let_in(&text, clock).unwrap_err(), Stranger::Unknown, "not read yet");
    access.read_tokens(store).await.unwrap();
    let pass = access.let_in(&text, clock).unwrap();
    assert_eq!((pass.id, pass.scope), (made.id, Scope::Operate));
    let other = Secret::new(&SystemEntropy).text(Kind::Token, made.id);
    assert_eq!(access.let_in(&other, clock).unwrap_err(), Stranger::Unknown);
    assert_eq!(access.let_in("password", clock).unwrap_err(), Stranger::Formless);

    assert_eq!(access.take_used(), [(made.id, clock.wall())]);
    world.advance(29_999);
    drop(access.let_in(&text, clock).unwrap());
    assert_eq!(access.take_used(), [], "it was written a moment ago");
    world.advance(1);
    drop(access.let_in(&text, clock).unwrap());
    let used = access.take_used();
    assert_eq!(used, [(made.id, clock.wall())]);
    store.note_used(used).await.unwrap();
    assert_eq!(store.token(made.id).await.unwrap().unwrap().used_ms, Some(clock.wall().0));

    let open: Vec<_> = (1..TOKEN_OPEN_MAX).map(|_| access.let_in(&text, clock).unwrap()).collect();
    assert!(matches!(access.let_in(&text, clock), Err(Stranger::TooOften(_))), "all are open");
    drop(open);
    world.advance(70_000);
    assert_eq!(access.let_in(&text, clock).unwrap_err(), Stranger::Expired);

    assert!(!pass.seat.is_revoked());
    let revoked = done(clock.wall(), |deed| store.revoke_token(made.id, deed)).await.unwrap();
    assert!(revoked.unwrap().revoked_ms.is_some());
    access.read_tokens(store).await.unwrap();
    assert!(pass.seat.is_revoked(), "what is open learns of it");
    assert_eq!(access.let_in(&text, clock).unwrap_err(), Stranger::Unknown);
}
