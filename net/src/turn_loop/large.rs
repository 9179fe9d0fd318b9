//! Arguments that are too long for what they are for: refused before they are copied, to another core or to be kept, and
//! where that can be told from what a client announces also before they are received. Their bytes are dropped then.

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
    /// Answers the error of a command with an argument that is surely too long. False where there is none.
    #[inline]
    pub(super) fn refuse_large(&self, client: &mut Client<'_>, command: &Command, args: Args<'_>) -> bool {
        let error = self.large_error(command, args);
        if let Some(text) = &error {
            client.reply().error(text);
        }
        error.is_some()
    }

    /// The error of a command with an argument that is surely too long: the command would refuse it, or use none of it.
    #[inline]
    pub(super) fn large_error(&self, command: &Command, args: Args<'_>) -> Option<String> {
        if args.bytes_total() <= LARGE_COMMAND_BYTES {
            return None;
        }
        let lengths = args.iter().map(<[u8]>::len).enumerate();
        let (place, longest) = lengths.max_by_key(|(_, bytes)| *bytes).unwrap_or_default();
        self.length_error(command, place, longest, args.bytes_total())
    }

    /// The same of a command whose longest argument, the one at `place`, has `longest` bytes, and all of them `total`
    /// bytes.
    #[cold]
    fn length_error(&self, command: &Command, place: usize, longest: usize, total: usize) -> Option<String> {
        let (longest, ring_bytes) = (longest as u64, self.server.config.ring_bytes);
        let is_recording = self.server.is_recording();
        // Those that may use more memory keep what they are given.
        if command.is(Flag::Denyoom) && is_recording {
            let max = change_bytes_max(ring_bytes);
            let refusal = Refusal::ChangeTooLarge { bytes: total as u64, max };
            return (longest > max).then(|| refusal_text(refusal).into_owned());
        }
        let (what, max) = match command.run {
            Run::Subscription(_) if place == 1 && is_recording => ("name", turn_bytes_due(ring_bytes)),
            Run::Subscription(_) if place == 1 => return None,
            // And names of groups and consumers, numbers: all of them are shorter.
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

    /// Looks at the command that has begun at the beginning of `buffer` and lacks much: answers the error where what it
    /// has announced is surely too long, and has the parser drop it. Tells whether that is so; all of `buffer` is consumed
    /// then.
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

    /// Drops what `buffer` has of a command that was refused; answers how many bytes that was.
    #[cold]
    pub(super) fn skip(&self, client: &mut Client<'_>, parser: &mut Parser, buffer: &[u8]) -> usize {
        parser.skip(buffer).unwrap_or_else(|error| {
            self.end_for(client, error);
            0
        })
    }
}
