//! Makes the load: clients that take messages as they become due, and a bar that shows how far it is.

use super::Task;
use super::schedule::Schedule;
use super::tally::{Answered, Lost, Tally};
use crate::failure::Failure;
use crate::output::{PROGRESS_EVERY, Progress};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Parts of the bar.
const BAR: u32 = 30;
/// A client that cannot even send does not try again at once.
const AFTER_LOSS: Duration = Duration::from_millis(10);

/// Sends messages by `send`, which gets their numbers, as the task wants it. Ends once all are answered or given up.
pub(super) async fn run<F>(
    task: &Task,
    send: impl Fn(u64) -> F + Clone + Send + 'static,
) -> Result<(), Failure>
where
    F: Future<Output = Result<Answered, Lost>> + Send + 'static,
{
    let begin = Instant::now();
    task.tally.begin(begin);
    let schedule = Arc::new(Schedule::new(begin, task.duration, task.setting.rate));
    let mut clients = JoinSet::new();
    for _ in 0..task.setting.clients {
        clients.spawn(client(schedule.clone(), task.tally.clone(), send.clone()));
    }
    let progress = Progress::new();
    let mut draw = interval(PROGRESS_EVERY);
    draw.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            ended = clients.join_next() => if ended.is_none() { break },
            _ = draw.tick() => progress.show(bar(begin.elapsed(), task.duration, &task.tally)),
        }
    }
    task.tally.miss(schedule.missed());
    Ok(())
}

async fn client<F>(schedule: Arc<Schedule>, tally: Arc<Tally>, send: impl Fn(u64) -> F)
where
    F: Future<Output = Result<Answered, Lost>>,
{
    while let Some((number, due)) = schedule.next().await {
        let outcome = send(number).await;
        let lost = outcome.is_err();
        tally.add(due, outcome, Instant::now());
        if lost {
            tokio::time::sleep(AFTER_LOSS).await;
        }
    }
}

/// How far it is, as a bar, and what has come of it so far.
fn bar(elapsed: Duration, duration: Duration, tally: &Tally) -> String {
    let share = (elapsed.as_secs_f64() / duration.as_secs_f64()).min(1.0);
    let done: String =
        (1..=BAR).map(|part| if f64::from(part) <= share * f64::from(BAR) { '#' } else { '.' }).collect();
    format!("[{done}] {:.0}%  {}", share * 100.0, tally.in_short())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Setting;

    #[test]
    fn the_bar_is_full_when_the_time_is_over() {
        let at = |seconds| bar(Duration::from_secs(seconds), Duration::from_secs(10), &Tally::default());
        assert!(at(0).starts_with(&format!("[{}] 0%  0/s", ".".repeat(30))), "{}", at(0));
        assert!(at(5).starts_with(&format!("[{}{}] 50%", "#".repeat(15), ".".repeat(15))), "{}", at(5));
        assert!(at(99).starts_with(&format!("[{}] 100%", "#".repeat(30))), "{}", at(99));
    }

    #[tokio::test]
    async fn a_slow_answer_delays_those_that_are_due_behind_it_and_that_counts() {
        let (every, takes) = (Duration::from_millis(10), Duration::from_millis(50));
        let task = Task {
            setting: Setting { bench: "test", peers: 1, size: None, clients: 1, rate: Some(100.0) },
            duration: Duration::from_millis(500),
            limit: takes,
            port: 1,
            tally: Arc::default(),
        };
        let send = move |_| async move {
            tokio::time::sleep(takes).await;
            Ok(Answered { answers: 1, at: Instant::now() })
        };
        run(&task, send).await.expect("measured");
        let result = task.tally.result().0;
        assert_eq!(result.sent + result.missed, 50, "all that was due is told of");
        // However slow the machine is: the last one began when all before it had been answered.
        let sent = u32::try_from(result.sent).expect("fifty at most");
        let latest = (takes * sent).saturating_sub(every * sent.saturating_sub(1));
        assert!(result.max_us >= latest.as_secs_f64() * 0.999e6, "{result:?}");
    }
}
