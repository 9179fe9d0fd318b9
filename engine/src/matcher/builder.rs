//! The process's one thread that builds groups, so that no shard waits for that. It runs while it has users.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use super::group::{Built, build_groups};
use super::memo::{MemoSlot, new_slots};
use super::pattern_set::PatternLists;

/// A group to build.
struct BuildJob {
    set_id: u32,
    lists: PatternLists,
    names: Vec<Box<[u8]>>,
    answer: Sender<Answer>,
}

/// A finished build.
pub enum Answer {
    /// Groups for a pattern set.
    Groups(u32, Built),
    /// Memory for the memo.
    Slots(Vec<MemoSlot>),
}

/// Something that takes long to free.
pub type Trash = Box<dyn Send>;

enum Task {
    Build(BuildJob),
    Slots(Sender<Answer>),
    Free(Vec<Trash>),
    Run(Box<dyn FnOnce() + Send>),
}

struct BuilderQueue {
    tasks: Sender<Task>,
}

/// A shard's handle to the thread.
pub struct Builder {
    /// `None` until there is something to build.
    queue: Option<Arc<BuilderQueue>>,
    answer: Sender<Answer>,
    answers: Receiver<Answer>,
    pending: usize,
}

/// Only the users keep the sender alive: when the last one drops it, the thread's queue closes and the thread ends.
static QUEUE: Mutex<Weak<BuilderQueue>> = Mutex::new(Weak::new());

fn queue() -> Option<Arc<BuilderQueue>> {
    let mut known = QUEUE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(queue) = known.upgrade() {
        return Some(queue);
    }
    let (tasks, waiting) = channel::<Task>();
    thread::Builder::new()
        .name("regex-builder".into())
        .spawn(move || {
            for task in waiting {
                match task {
                    // If the shard is gone, the answer is dropped.
                    Task::Build(job) => {
                        _ = job.answer.send(Answer::Groups(job.set_id, build_groups(&job.lists, &job.names)))
                    }
                    Task::Slots(answer) => _ = answer.send(Answer::Slots(new_slots())),
                    Task::Free(trash) => drop(trash),
                    Task::Run(run) => run(),
                }
            }
        })
        .ok()?;
    let queue = Arc::new(BuilderQueue { tasks });
    *known = Arc::downgrade(&queue);
    Some(queue)
}

/// Keeps the thread alive. To be started before any shard needs it: a thread inherits the CPU affinity of its creator,
/// and a shard's thread is pinned to one core.
pub struct BuilderThread(Arc<BuilderQueue>);

impl BuilderThread {
    /// Starts the thread if it does not run yet; `None` if the system refuses a thread.
    pub fn start() -> Option<BuilderThread> {
        queue().map(BuilderThread)
    }

    /// Runs a task after all earlier ones. False if the thread has ended.
    pub fn run(&self, task: impl FnOnce() + Send + 'static) -> bool {
        self.0.tasks.send(Task::Run(Box::new(task))).is_ok()
    }
}

impl Builder {
    /// No job and no thread yet.
    pub fn new() -> Builder {
        let (answer, answers) = channel();
        Builder { queue: None, answer, answers, pending: 0 }
    }

    /// Requests one or more groups for each of these lists of patterns. Returns whether a thread does it.
    pub fn request_groups(&mut self, set_id: u32, lists: PatternLists, names: Vec<Box<[u8]>>) -> bool {
        let answer = self.answer.clone();
        let sent = self.send(Task::Build(BuildJob { set_id, lists, names, answer }));
        self.pending += usize::from(sent);
        sent
    }

    /// Requests memory for the memo.
    pub fn request_slots(&mut self) {
        let answer = self.answer.clone();
        self.pending += usize::from(self.send(Task::Slots(answer)));
    }

    fn send(&mut self, task: Task) -> bool {
        if self.queue.is_none() {
            self.queue = queue();
        }
        self.queue.as_ref().is_some_and(|queue| queue.tasks.send(task).is_ok())
    }

    /// Frees these on the thread if it runs, else here.
    pub fn free(&mut self, trash: Vec<Trash>) {
        // A failed send drops them here.
        self.send(Task::Free(trash));
    }

    /// Gives up the builds that are under way. Returns the channel that their answers come through, for the thread to free.
    pub fn forget_answers(&mut self) -> Receiver<Answer> {
        let (answer, answers) = channel();
        (self.answer, self.pending) = (answer, 0);
        std::mem::replace(&mut self.answers, answers)
    }

    /// The next finished build, if any.
    #[inline]
    pub fn next(&mut self) -> Option<Answer> {
        if self.pending == 0 {
            return None;
        }
        let answer = self.answers.try_recv().ok()?;
        self.pending -= 1;
        Some(answer)
    }

    /// Waits for the next finished build, if any is pending.
    #[cfg(all(test, not(loom)))]
    pub fn wait(&mut self) -> Option<Answer> {
        if self.pending == 0 {
            return None;
        }
        self.pending -= 1;
        self.answers.recv().ok()
    }
}
