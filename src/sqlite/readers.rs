//! The threads that read: each with a connection of its own, all fed from one queue.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::DbError;
use super::db::spawn;

/// A read, or the reason why there is no connection for it.
type Job = Box<dyn FnOnce(Result<&Connection, DbError>) + Send>;
type Open = Arc<dyn Fn() -> rusqlite::Result<Connection> + Send + Sync>;

#[derive(Default)]
struct Line {
    jobs: VecDeque<Job>,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    line: Mutex<Line>,
    arrived: Condvar,
}

impl Shared {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job; `None` when the line is closed and empty.
    fn next(&self) -> Option<Job> {
        let mut line = self.line();
        loop {
            if let Some(job) = line.jobs.pop_front() {
                return Some(job);
            }
            if line.closed {
                return None;
            }
            line = self.arrived.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The pool. Its threads end when it is closed or dropped.
pub(super) struct Readers {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for Readers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Readers")
    }
}

impl Readers {
    pub(super) fn start(count: usize, open: Open) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let start = |n: usize| {
            let (shared, open) = (Arc::clone(&shared), Arc::clone(&open));
            spawn(&format!("sqlite-read-{n}"), move || serve(&shared, &open))
        };
        let threads = (0..count.max(1)).map(start).collect::<Result<_, _>>()?;
        Ok(Self { shared, threads: Mutex::new(threads) })
    }

    /// Puts a read in the line; it is dropped unrun when the pool is closed.
    pub(super) fn run(&self, job: Job) {
        let mut line = self.shared.line();
        if !line.closed {
            line.jobs.push_back(job);
            drop(line);
            self.shared.arrived.notify_one();
        }
    }

    /// Lets the threads finish what is in the line and end; gives them to be joined.
    pub(super) fn close(&self) -> Vec<JoinHandle<()>> {
        self.shared.line().closed = true;
        self.shared.arrived.notify_all();
        std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.close();
    }
}

fn serve(shared: &Shared, open: &Open) {
    let mut connection = None;
    while let Some(job) = shared.next() {
        if connection.is_none() {
            match open() {
                Ok(conn) => connection = Some(conn),
                Err(e) => {
                    job(Err(e.into()));
                    continue;
                }
            }
        }
        match &connection {
            Some(conn) => job(Ok(conn)),
            None => job(Err(DbError::Unavailable("no connection".to_owned()))),
        }
    }
}
