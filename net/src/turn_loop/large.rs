//! Commands with an argument that is longer than the command can use. They are refused before their arguments are copied. If
//! the announced length of an argument shows it, they are refused before the argument is received, and its bytes are dropped.

use super::Core;
use super::resp::Client;
use crate::command::refusal_text;
use crate::command::table::TABLE;
use crate::command::{Command, Flag, Keys, Run};
use crate::limits::LARGE_COMMAND_BYTES;
use crate::resp::{Args, Parser};
use keytide_engine::error::Refusal;
use keytide_engine::limits::{GLOB_BYTES_MAX, change_bytes_max, turn_bytes_due};

impl Core {
    /// Refuses a command with an argument that is certainly too long. Returns whether it was refused.
    #[inline]
    pub(super) fn refuse_large(&self, client: &mut Client<'_>, command: &Command, args: Args<'_>) -> bool {
        let error = self.large_error(command, args);
        if let Some(text) = &error {
            client.reply().error(text);
        }
        error.is_some()
    }

    /// The error for an argument that is certainly too long: the command would refuse it, or not use it.
    #[inline]
    pub(super) fn large_error(&self, command: &Command, args: Args<'_>) -> Option<String> {
        if args.bytes_total() <= LARGE_COMMAND_BYTES {
            return None;
        }
        let lengths = args.iter().map(<[u8]>::len).enumerate();
        let (place, longest) = lengths.max_by_key(|(_, bytes)| *bytes).unwrap_or_default();
        self.length_error(command, place, longest, args.bytes_total())
    }

    /// The same, for a command whose longest argument is at `place` and has `longest` bytes; all arguments have `total` bytes.
    #[cold]
    fn length_error(&self, command: &Command, place: usize, longest: usize, total: usize) -> Option<String> {
        let (longest, ring_bytes) = (longest as u64, self.server.config.ring_bytes);
        let is_recording = self.server.is_recording();
        // A command that may use more memory stores its arguments.
        if command.is(Flag::Denyoom) && is_recording {
            let max = change_bytes_max(ring_bytes);
            let refusal = Refusal::ChangeTooLarge { bytes: total as u64, max };
            return (longest > max).then(|| refusal_text(refusal).into_owned());
        }
        let (what, max) = match command.run {
            Run::Subscription(_) if place == 1 && is_recording => ("name", turn_bytes_due(ring_bytes)),
            Run::Subscription(_) if place == 1 => return None,
            // Their other arguments are names of groups and consumers, and numbers, which are all shorter.
            Run::History(_)
            | Run::Group { .. }
            | Run::Subscription(_)
            | Run::Shards { .. }
            | Run::EachShard { .. }
            | Run::EachCore { .. }
                if command.keys == Keys::None =>
            {
                ("pattern", GLOB_BYTES_MAX as u64)
            }
            _ => return None,
        };
        (longest > max).then(|| format!("ERR {what} of {longest} bytes exceeds the limit of {max} bytes"))
    }

    /// Checks the command at the beginning of `buffer`, most of which has not arrived. If an argument that it announces is
    /// certainly too long, refuses the command and lets the parser drop the rest of it; then all of `buffer` is consumed.
    /// Returns whether it was refused.
    #[cold]
    pub(super) fn refuse_begun(&self, client: &mut Client<'_>, parser: &mut Parser, buffer: &[u8]) -> bool {
        let Some((args, announced)) = parser.begun(buffer) else { return false };
        let Some(command) = TABLE.begun(args) else { return false };
        let total = args.bytes_total() + announced;
        let Some(text) = self.length_error(TABLE.get(command), args.len(), announced, total) else { return false };
        self.reject(client, args, text.as_bytes());
        parser.begin_skip();
        true
    }

    /// Drops the bytes in `buffer` that belong to a refused command. Returns their number.
    #[cold]
    pub(super) fn skip(&self, client: &mut Client<'_>, parser: &mut Parser, buffer: &[u8]) -> usize {
        parser.skip(buffer).unwrap_or_else(|error| {
            self.end_for(client, error);
            0
        })
    }
}
