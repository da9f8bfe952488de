//! One value that many wait for to change: tokio's `watch`, except that those who wait are woken in the order in which
//! they came. `watch` wakes them in a random order, which no seed repeats.

use std::sync::{Mutex, MutexGuard};

use tokio::sync::Notify;

/// The value, and who waits for it.
#[derive(Debug)]
pub(crate) struct Posted<T> {
    state: Mutex<State<T>>,
    changed: Notify,
}

#[derive(Debug)]
struct State<T> {
    changes: u64,
    value: T,
}

/// Somebody who looks at the value, and then waits until it is another.
#[derive(Debug)]
pub(crate) struct Reader<'a, T> {
    posted: &'a Posted<T>,
    seen: u64,
}

impl<T: Clone> Posted<T> {
    /// Posts the first value.
    pub(crate) fn new(value: T) -> Self {
        Self { state: Mutex::new(State { changes: 0, value }), changed: Notify::new() }
    }

    /// The value as it is now.
    pub(crate) fn get(&self) -> T {
        self.lock().value.clone()
    }

    /// A reader who has not seen the value yet.
    pub(crate) fn subscribe(&self) -> Reader<'_, T> {
        Reader { posted: self, seen: 0 }
    }

    /// Lets `modify` change the value, and wakes all readers if it says that it did.
    pub(crate) fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) {
        let mut state = self.lock();
        if modify(&mut state.value) {
            state.changes += 1;
            drop(state);
            self.changed.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().expect("no code panics while it holds the value")
    }
}

impl<T: Clone> Reader<'_, T> {
    /// The value, which counts as seen.
    pub(crate) fn read(&mut self) -> T {
        let state = self.posted.lock();
        self.seen = state.changes;
        state.value.clone()
    }

    /// Waits until the value is another than the one seen.
    pub(crate) async fn changed(&self) {
        loop {
            // Made before looking: a change after the look wakes it.
            let notified = self.posted.changed.notified();
            if self.posted.lock().changes != self.seen {
                return;
            }
            notified.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    #[tokio::test]
    async fn readers_wake_in_the_order_in_which_they_came() {
        let posted = Arc::new(Posted::new(0));
        let woken = Arc::new(Mutex::new(Vec::new()));
        let mut readers = Vec::new();
        for name in 0..20 {
            let (posted, woken) = (Arc::clone(&posted), Arc::clone(&woken));
            readers.push(tokio::spawn(async move {
                let mut reader = posted.subscribe();
                assert_eq!(reader.read(), 0);
                reader.changed().await;
                assert_eq!(reader.read(), 1);
                woken.lock().unwrap().push(name);
            }));
            tokio::task::yield_now().await;
        }
        posted.send_if_modified(|_| false);
        tokio::task::yield_now().await;
        assert_eq!(woken.lock().unwrap().len(), 0, "nothing has changed");
        posted.send_if_modified(|value| {
            *value += 1;
            true
        });
        for reader in readers {
            reader.await.unwrap();
        }
        assert_eq!(*woken.lock().unwrap(), (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn a_change_between_look_and_wait_is_not_missed() {
        let posted = Posted::new(0);
        let mut reader = posted.subscribe();
        reader.read();
        let mut cx = Context::from_waker(Waker::noop());
        let change = || {
            posted.send_if_modified(|value| {
                *value += 1;
                true
            });
        };
        change();
        assert!(pin!(reader.changed()).poll(&mut cx).is_ready(), "changed before the wait");
        reader.read();
        let mut wait = pin!(reader.changed());
        assert_eq!(wait.as_mut().poll(&mut cx), Poll::Pending);
        change();
        assert!(wait.poll(&mut cx).is_ready(), "changed during the wait");
    }
}
