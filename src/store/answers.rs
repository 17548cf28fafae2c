//! Those who wait for one commit, woken together.
//!
//! To wake a task of another thread costs a system call, and a commit has many who wait for it. So
//! the first one to be answered is woken, and when its thread gets to it, it wakes the others there.

use std::cell::RefCell;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

thread_local! {
    /// Of what is awaited on this thread.
    static GROUP: RefCell<Arc<Group>> = RefCell::default();
}

/// Those on one thread who were answered and not woken yet.
#[derive(Default)]
struct Group(Mutex<Vec<Waker>>);

impl Group {
    fn of_this_thread() -> Arc<Self> {
        GROUP.with_borrow(Arc::clone)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_all_but(&self, own: Option<&Waker>) {
        let answered = mem::take(&mut *self.lock());
        for waker in answered {
            if !own.is_some_and(|own| own.will_wake(&waker)) {
                waker.wake();
            }
        }
    }
}

/// Wakes a task by way of its group.
struct Member {
    group: Arc<Group>,
    task: Waker,
    /// Whether the task still waits; only looked at and changed with the group locked. One that
    /// does not would never look after the others.
    waits: Mutex<bool>,
}

impl Member {
    fn waits(&self) -> MutexGuard<'_, bool> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Member {
    fn wake(self: Arc<Self>) {
        let mut answered = self.group.lock();
        if !*self.waits() {
            return;
        }
        answered.push(self.task.clone());
        let first = answered.len() == 1;
        drop(answered);
        if first {
            self.task.wake_by_ref();
        }
    }
}

/// An answer that is awaited with others of the same thread.
pub(super) struct Gathered<F> {
    answer: F,
    member: Option<Arc<Member>>,
}

impl<F> Gathered<F> {
    pub(super) fn new(answer: F) -> Self {
        Self {
            answer,
            member: None,
        }
    }

    fn leave(&mut self, own: Option<&Waker>) {
        if let Some(member) = self.member.take() {
            let answered = member.group.lock();
            *member.waits() = false;
            drop(answered);
            member.group.wake_all_but(own);
        }
    }
}

impl<F: Future + Unpin> Future for Gathered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let task = cx.waker();
        let member = match &self.member {
            Some(member) if member.task.will_wake(task) => {
                member.group.wake_all_but(Some(task));
                Arc::clone(member)
            }
            _ => {
                self.leave(Some(task));
                Arc::new(Member {
                    group: Group::of_this_thread(),
                    task: task.clone(),
                    waits: Mutex::new(true),
                })
            }
        };
        self.member = Some(Arc::clone(&member));
        let answer = Pin::new(&mut self.answer).poll(&mut Context::from_waker(&member.into()));
        if answer.is_ready() {
            self.leave(Some(task));
        }
        answer
    }
}

impl<F> Drop for Gathered<F> {
    fn drop(&mut self) {
        self.leave(None);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Waiting {
        task: Arc<Task>,
        reply: Option<oneshot::Sender<u8>>,
        answer: Gathered<oneshot::Receiver<u8>>,
    }

    impl Waiting {
        fn new() -> Self {
            let (reply, answer) = oneshot::channel();
            let mut waiting = Self {
                task: Arc::default(),
                reply: Some(reply),
                answer: Gathered::new(answer),
            };
            assert!(waiting.poll().is_pending());
            waiting
        }

        fn poll(&mut self) -> Poll<Option<u8>> {
            let waker = Waker::from(Arc::clone(&self.task));
            Pin::new(&mut self.answer)
                .poll(&mut Context::from_waker(&waker))
                .map(Result::ok)
        }

        fn answer(&mut self, value: u8) {
            self.reply.take().unwrap().send(value).unwrap();
        }

        fn woken(&self) -> usize {
            self.task.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn the_first_is_woken_and_wakes_the_others() {
        let mut waiting: Vec<_> = (0..4).map(|_| Waiting::new()).collect();
        (0..3).for_each(|at| waiting[at].answer(at as u8));
        let woken = |waiting: &[Waiting]| waiting.iter().map(Waiting::woken).collect::<Vec<_>>();
        assert_eq!(woken(&waiting), [1, 0, 0, 0]);
        assert_eq!(waiting[0].poll(), Poll::Ready(Some(0)));
        assert_eq!(woken(&waiting), [1, 1, 1, 0]);
        assert_eq!(waiting[2].poll(), Poll::Ready(Some(2)));
        waiting[3].answer(3);
        assert_eq!(woken(&waiting), [1, 1, 1, 1]);
    }

    #[test]
    fn one_that_gives_up_after_it_was_woken_wakes_the_others() {
        let (mut first, mut second) = (Waiting::new(), Waiting::new());
        first.answer(1);
        second.answer(2);
        drop(first);
        assert_eq!(second.woken(), 1);
    }

    #[test]
    fn one_that_has_its_answer_before_it_is_woken_keeps_nobody_waiting() {
        let (mut first, mut second) = (Waiting::new(), Waiting::new());
        let waker = Waker::from(Arc::clone(first.answer.member.as_ref().unwrap()));
        first.answer(1);
        assert_eq!(first.poll(), Poll::Ready(Some(1)));
        // The waker was taken before, and is used only now.
        waker.wake();
        second.answer(2);
        assert_eq!(second.woken(), 1);
    }

    #[test]
    fn one_that_moves_to_another_task_is_woken_there() {
        let mut waiting = Waiting::new();
        let before = Arc::clone(&waiting.task);
        waiting.task = Arc::default();
        assert!(waiting.poll().is_pending());
        waiting.answer(1);
        assert_eq!((before.0.load(Ordering::Relaxed), waiting.woken()), (0, 1));
    }
}
