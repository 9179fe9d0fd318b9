//! The one thread of the process that makes groups, so that no shard waits for it. It is there while somebody uses it.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use super::group::{Made, make};
use super::memo::{Slot, free_slots};
use super::place::Lists;

/// What is to be made.
struct Job {
    place: u32,
    lists: Lists,
    names: Vec<Box<[u8]>>,
    answer: Sender<Answer>,
}

/// What has been made.
pub enum Answer {
    /// Groups for a place.
    Groups(u32, Made),
    /// Memory for the memo.
    Slots(Vec<Slot>),
}

/// What takes long to be freed.
pub type Trash = Box<dyn Send>;

enum Task {
    Make(Job),
    Slots(Sender<Answer>),
    Free(Vec<Trash>),
    Run(Box<dyn FnOnce() + Send>),
}

struct Shared {
    tasks: Sender<Task>,
}

/// A shard's way to the thread.
pub struct Builder {
    /// None until there is something to make.
    shared: Option<Arc<Shared>>,
    answer: Sender<Answer>,
    answers: Receiver<Answer>,
    pending: usize,
}

/// The users of the thread hold it; when the last has gone the thread has no more jobs to wait for, and ends.
static SHARED: Mutex<Weak<Shared>> = Mutex::new(Weak::new());

fn shared() -> Option<Arc<Shared>> {
    let mut known = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(shared) = known.upgrade() {
        return Some(shared);
    }
    let (tasks, waiting) = channel::<Task>();
    thread::Builder::new()
        .name("regex-builder".into())
        .spawn(move || {
            for task in waiting {
                match task {
                    // Where the shard has gone nobody wants the answer.
                    Task::Make(job) => _ = job.answer.send(Answer::Groups(job.place, make(&job.lists, &job.names))),
                    Task::Slots(answer) => _ = answer.send(Answer::Slots(free_slots())),
                    Task::Free(trash) => drop(trash),
                    Task::Run(run) => run(),
                }
            }
        })
        .ok()?;
    let shared = Arc::new(Shared { tasks });
    *known = Arc::downgrade(&shared);
    Some(shared)
}

/// The thread, for who makes it before any shard needs it: threads run where their maker may run, and a shard's may run
/// on its own core only. It stays as long as this.
pub struct BuilderThread(Arc<Shared>);

impl BuilderThread {
    /// Starts it where it does not run yet; none where the system has no thread.
    pub fn start() -> Option<BuilderThread> {
        shared().map(BuilderThread)
    }

    /// Has it do something, after what it was asked for before. False where it has ended.
    pub fn run(&self, task: impl FnOnce() + Send + 'static) -> bool {
        self.0.tasks.send(Task::Run(Box::new(task))).is_ok()
    }
}

impl Builder {
    /// No job yet, and no thread.
    pub fn new() -> Builder {
        let (answer, answers) = channel();
        Builder { shared: None, answer, answers, pending: 0 }
    }

    /// Has groups made of each of these lists of patterns of a place. Tells whether there is a thread that does it.
    pub fn start(&mut self, place: u32, lists: Lists, names: Vec<Box<[u8]>>) -> bool {
        let answer = self.answer.clone();
        let sent = self.send(Task::Make(Job { place, lists, names, answer }));
        self.pending += usize::from(sent);
        sent
    }

    /// Has memory made for the memo.
    pub fn start_slots(&mut self) {
        let answer = self.answer.clone();
        self.pending += usize::from(self.send(Task::Slots(answer)));
    }

    fn send(&mut self, task: Task) -> bool {
        if self.shared.is_none() {
            self.shared = shared();
        }
        self.shared.as_ref().is_some_and(|shared| shared.tasks.send(task).is_ok())
    }

    /// Has these freed by the thread, where there is one; without it they are freed here.
    pub fn free(&mut self, trash: Vec<Trash>) {
        // What cannot be sent is dropped here.
        self.send(Task::Free(trash));
    }

    /// What was made since.
    #[inline]
    pub fn take(&mut self) -> Option<Answer> {
        if self.pending == 0 {
            return None;
        }
        let answer = self.answers.try_recv().ok()?;
        self.pending -= 1;
        Some(answer)
    }

    /// Waits for what is being made, and tells the next of it.
    #[cfg(all(test, not(loom)))]
    pub fn wait(&mut self) -> Option<Answer> {
        if self.pending == 0 {
            return None;
        }
        self.pending -= 1;
        self.answers.recv().ok()
    }
}
