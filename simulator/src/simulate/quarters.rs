//! Where virtual nodes live: one thread with a runtime of its own, beside that of their coordinator.
//!
//! What nodes and their ends of the lines do then stays on one core, as the coordinator's part stays on the others, and what goes
//! between two tasks of nodes wakes nobody. Learning has threads of its own.

use std::future::{Future, poll_fn};
use std::io;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::thread::{Builder, JoinHandle};

use tokio::runtime::{self, Handle};
use tokio_util::sync::CancellationToken;

/// The thread. It ends when this is dropped, and with it what still lives there.
#[derive(Debug)]
pub(crate) struct Quarters {
    tasks: Handle,
    end: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Quarters {
    /// An empty one.
    ///
    /// # Errors
    /// When the operating system has no thread to give.
    pub(crate) fn open() -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (tasks, end) = (runtime.handle().clone(), CancellationToken::new());
        let until = end.clone();
        let thread = Builder::new()
            .name("sim-nodes".to_owned())
            .spawn(move || runtime.block_on(until.cancelled()))?;
        Ok(Self { tasks, end, thread: Some(thread) })
    }

    /// Lets `task` live here, and gives what comes out of it. Its panic is that of whoever waits for it.
    pub(crate) fn live<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send + Unpin + 'static {
        let mut living = self.tasks.spawn(task);
        poll_fn(move |cx| {
            let over = ready!(Pin::new(&mut living).poll(cx));
            // Nobody aborts it while somebody waits for it.
            Poll::Ready(over.unwrap_or_else(|ended| resume_unwind(ended.into_panic())))
        })
    }
}

impl Drop for Quarters {
    fn drop(&mut self) {
        self.end.cancel();
        if let Some(thread) = self.thread.take() {
            // It does nothing but wait.
            thread.join().unwrap_or_default();
        }
    }
}
