//! The budget of a turn: time, and bytes of replies, for each of the three parts in which commands run. Commands beyond the
//! budget run in the next turn, behind the waiting commands of other clients.

use crate::limits::{
    BUDGET_COMMANDS, COMMAND_LONG_NS, SMALL_SEND_BYTES, TURN_DELIVERED_BYTES, TURN_PART_NS, TURN_REPLY_BYTES,
    TURN_SEND_BYTES,
};
use crate::weight::Weight;
use std::time::{Duration, Instant};

/// The parts of a turn in which commands run, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Commands that were just received, of clients without waiting commands.
    Received = 1,
    /// Commands of other cores.
    Asked = 2,
    /// Commands of clients that an earlier turn has left.
    Left = 3,
}

/// The budget left. The clock is read after each command that may be long, and once for [`BUDGET_COMMANDS`] short ones.
pub(super) struct Budget {
    /// The start of the turn.
    started: Instant,
    part: Part,
    bytes_left: usize,
    /// The bytes of replies from other cores that the turn may still take.
    delivered_left: usize,
    /// The bytes of sends that the turn may still begin.
    sends_left: usize,
    /// The short commands that may run before the clock is read.
    commands_left: u32,
    is_over: bool,
    /// The last reading of the clock in this part of the turn.
    looked: Option<Instant>,
    /// The number of commands that took longer than [`COMMAND_LONG_NS`].
    long_commands: u64,
    /// The time of all commands that may be long, since the start of the program.
    spent: Duration,
    /// The number of the turn.
    turn: u64,
}

impl Budget {
    pub fn new() -> Budget {
        Budget {
            started: Instant::now(),
            part: Part::Received,
            bytes_left: TURN_REPLY_BYTES,
            delivered_left: TURN_DELIVERED_BYTES,
            sends_left: TURN_SEND_BYTES,
            commands_left: BUDGET_COMMANDS,
            is_over: false,
            looked: None,
            long_commands: 0,
            spent: Duration::ZERO,
            turn: 0,
        }
    }

    /// The number of commands that took longer than [`COMMAND_LONG_NS`].
    pub fn long_commands(&self) -> u64 {
        self.long_commands
    }

    /// Begins a turn.
    #[inline]
    pub fn begin_turn(&mut self, now: Instant) {
        self.started = now;
        self.turn += 1;
        (self.delivered_left, self.sends_left) = (TURN_DELIVERED_BYTES, TURN_SEND_BYTES);
        self.begin(Part::Received);
    }

    /// Begins the time of the turn's parts later than the turn.
    #[inline]
    pub fn begin_time(&mut self, now: Instant) {
        self.started = now;
    }

    /// Begins a part. At least one command of it runs, however late it is.
    #[inline]
    pub fn begin(&mut self, part: Part) {
        (self.part, self.bytes_left, self.is_over, self.looked) = (part, TURN_REPLY_BYTES, false, None);
    }

    /// Begins the commands of a weight. Light commands have their part of a turn, however late it is. Other commands run while
    /// the part's time is not over. In each turn one of them runs even then, of another weight and part each time: so all of
    /// them progress, and no turn has many long commands.
    pub fn begin_weight(&mut self, weight: Weight) {
        let place = match (self.part, weight) {
            (_, Weight::Light) | (Part::Received, _) => return,
            (Part::Asked, Weight::Unknown) => 0,
            (Part::Asked, Weight::Heavy) => 1,
            (Part::Left, Weight::Unknown) => 2,
            (Part::Left, Weight::Heavy) => 3,
        };
        let runs_all_the_same = self.turn % 4 == place;
        if runs_all_the_same {
            self.is_over = false;
        } else if !self.is_over {
            self.is_over = self.is_late(Instant::now());
        }
    }

    /// The time of all commands that may be long, since the start of the program.
    #[inline]
    pub fn spent(&self) -> Duration {
        self.spent
    }

    fn is_late(&self, now: Instant) -> bool {
        now - self.started >= Duration::from_nanos(TURN_PART_NS) * self.part as u32
    }

    /// Whether the part's other commands wait for the next turn.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The bytes of replies that the part may still make.
    #[inline]
    pub fn bytes_left(&self) -> usize {
        self.bytes_left
    }

    /// Counts bytes of replies.
    #[inline]
    pub fn spend(&mut self, bytes: usize) {
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        self.is_over |= self.bytes_left == 0;
    }

    /// Counts a reply from another core, in bytes.
    #[inline]
    pub fn spend_delivered(&mut self, bytes: usize) {
        self.delivered_left = self.delivered_left.saturating_sub(bytes);
    }

    /// Whether the other messages in the lanes wait for the next turn.
    #[inline]
    pub fn is_delivery_over(&self) -> bool {
        self.delivered_left == 0
    }

    /// Whether a send of `bytes` bytes may begin in this turn. If so, it is counted.
    #[inline]
    pub fn may_send(&mut self, bytes: usize) -> bool {
        let may = bytes < SMALL_SEND_BYTES || self.sends_left > 0;
        if may {
            self.sends_left = self.sends_left.saturating_sub(bytes);
        }
        may
    }

    /// Counts a command. `is_short` says that its duration is bounded by its bytes. Of another one it answers how long that took, with
    /// the short ones before it since the clock was read.
    #[inline]
    pub fn note_command(&mut self, is_short: bool) -> Option<Duration> {
        self.commands_left -= 1;
        if is_short && self.commands_left > 0 {
            return None;
        }
        let took = self.look(Instant::now());
        (!is_short).then_some(took)
    }

    /// Begins a command that may be long.
    #[inline]
    pub fn begin_command(&mut self) {
        if self.looked.is_none() {
            self.looked = Some(Instant::now());
        }
    }

    fn look(&mut self, now: Instant) -> Duration {
        self.commands_left = BUDGET_COMMANDS;
        // The short commands since the last reading count as part of this one: they are few.
        let took = self.looked.replace(now).map_or(Duration::ZERO, |looked| now - looked);
        self.spent += took;
        self.long_commands += u64::from(took >= Duration::from_nanos(COMMAND_LONG_NS));
        self.is_over |= self.is_late(now);
        took
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_over_by_time_or_by_bytes_and_the_next_one_begins_all_the_same() {
        let mut budget = Budget::new();
        let start = Instant::now();
        budget.begin_turn(start);
        budget.look(start + Duration::from_nanos(TURN_PART_NS - 1));
        assert!(!budget.is_over());
        budget.look(start + Duration::from_nanos(TURN_PART_NS));
        assert!(budget.is_over());
        budget.begin(Part::Asked);
        assert!(!budget.is_over());
        budget.look(start + Duration::from_nanos(2 * TURN_PART_NS - 1));
        assert!(!budget.is_over());
        budget.spend(TURN_REPLY_BYTES - 1);
        assert!(!budget.is_over() && budget.bytes_left() == 1);
        budget.spend(2);
        assert!(budget.is_over());
        budget.begin(Part::Left);
        assert!(!budget.is_over() && budget.bytes_left() == TURN_REPLY_BYTES);
        // What the kernel does before the first command takes nothing from the commands' time.
        budget.begin_turn(start);
        let later = start + Duration::from_secs(1);
        budget.begin_time(later);
        budget.look(later + Duration::from_nanos(TURN_PART_NS - 1));
        assert!(!budget.is_over());
        budget.look(later + Duration::from_nanos(TURN_PART_NS));
        assert!(budget.is_over());
    }

    #[test]
    fn of_what_is_late_one_part_and_weight_goes_on_in_each_turn() {
        let mut budget = Budget::new();
        let late = Instant::now().checked_sub(Duration::from_secs(1)).expect("the machine runs for longer");
        let mut runs = [[0; 3]; 3];
        for _ in 0..8 {
            budget.begin_turn(late);
            for part in [Part::Asked, Part::Left] {
                budget.begin(part);
                for weight in Weight::ALL {
                    budget.begin_weight(weight);
                    runs[part as usize - 1][weight as usize] += u32::from(!budget.is_over());
                    budget.look(Instant::now());
                }
            }
        }
        assert_eq!(runs, [[0, 0, 0], [8, 2, 2], [8, 2, 2]]);
        budget.begin_turn(Instant::now() + Duration::from_secs(1));
        budget.begin(Part::Asked);
        budget.begin_weight(Weight::Heavy);
        assert!(!budget.is_over(), "its time is not over");
    }

    #[test]
    fn large_sends_wait_for_the_next_turn_and_small_ones_never_do() {
        let mut budget = Budget::new();
        assert!(budget.may_send(TURN_SEND_BYTES - 1) && budget.may_send(SMALL_SEND_BYTES));
        assert!(!budget.may_send(SMALL_SEND_BYTES));
        assert!(budget.may_send(SMALL_SEND_BYTES - 1));
        budget.begin(Part::Left);
        assert!(!budget.may_send(SMALL_SEND_BYTES), "no part of a turn has sends of its own");
        budget.spend_delivered(TURN_DELIVERED_BYTES - 1);
        assert!(!budget.is_delivery_over());
        budget.spend_delivered(2);
        assert!(budget.is_delivery_over());
        budget.begin_turn(Instant::now());
        assert!(budget.may_send(10 * TURN_SEND_BYTES), "however long one is");
        assert!(!budget.is_delivery_over());
    }

    #[test]
    fn the_clock_is_looked_at_after_a_long_command_or_many_short_ones() {
        let mut budget = Budget::new();
        budget.started = Instant::now().checked_sub(Duration::from_secs(1)).expect("the machine runs for longer");
        budget.begin(Part::Received);
        (1..BUDGET_COMMANDS).for_each(|_| _ = budget.note_command(true));
        assert!(!budget.is_over());
        budget.note_command(true);
        assert!(budget.is_over());
        budget.begin(Part::Received);
        budget.begin_command();
        budget.note_command(false);
        assert!(budget.is_over());
        assert_eq!(budget.long_commands(), 0);
        budget.look(Instant::now() + Duration::from_nanos(COMMAND_LONG_NS));
        assert_eq!(budget.long_commands(), 1);
    }
}
