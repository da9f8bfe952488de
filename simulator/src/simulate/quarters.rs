//! Where virtual nodes live: a few threads, each with a runtime of its own, and with the coordinator's ends of its nodes' lines.
//!
//! What a node says and what is answered to it stays on one core: a line's two ends wake nobody else, and what goes over it is
//! still in that core's cache when it is read. Learning has threads of its own, and so has the rest of the coordinator.

use std::future::{Future, poll_fn};
use std::io;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::thread::{Builder, JoinHandle};

use tokio::runtime::{self, Handle};
use tokio_util::sync::CancellationToken;

/// The threads. They end when this is dropped, and with them what still lives there.
#[derive(Debug)]
pub(crate) struct Quarters(Vec<Quarter>);

/// One of them.
#[derive(Debug)]
pub(crate) struct Quarter {
    tasks: Handle,
    end: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// Which of `count` quarters node `index` lives in.
pub(crate) fn quarter_of(index: usize, count: usize) -> usize {
    index % count
}

impl Quarters {
    /// `count` empty ones, at least one. Without `sockets` nothing that lives there can have any, and a thread that is busy is
    /// woken without asking the operating system.
    ///
    /// # Errors
    /// When the operating system has no thread to give.
    pub(crate) fn open(count: usize, sockets: bool) -> io::Result<Self> {
        (0..count.max(1)).map(|_| Quarter::open(sockets)).collect::<Result<_, _>>().map(Self)
    }

    /// All of them; who lives where is for [`quarter_of`] to say.
    pub(crate) fn all(&self) -> &[Quarter] {
        &self.0
    }

    /// Lets `task` live in the first of them, and gives what comes out of it. Its panic is that of whoever waits for it.
    pub(crate) fn live<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send + Unpin + 'static {
        self.0[0].live(task)
    }
}

impl Quarter {
    fn open(sockets: bool) -> io::Result<Self> {
        let mut runtime = runtime::Builder::new_current_thread();
        let runtime = if sockets { runtime.enable_all() } else { runtime.enable_time() }.build()?;
        let (tasks, end) = (runtime.handle().clone(), CancellationToken::new());
        let until = end.clone();
        let thread = Builder::new()
            .name("sim-nodes".to_owned())
            .spawn(move || runtime.block_on(until.cancelled()))?;
        Ok(Self { tasks, end, thread: Some(thread) })
    }

    /// Its runtime.
    pub(crate) fn tasks(&self) -> &Handle {
        &self.tasks
    }

    /// Lets `task` live here, as [`Quarters::live`].
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

impl Drop for Quarter {
    fn drop(&mut self) {
        self.end.cancel();
        if let Some(thread) = self.thread.take() {
            // It does nothing but wait.
            thread.join().unwrap_or_default();
        }
    }
}
