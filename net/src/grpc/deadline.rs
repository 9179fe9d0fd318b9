//! Until when a call may take: its `grpc-timeout`, a number of up to eight digits and a unit.

use super::status::{Code, Status};
use crate::limits::CALL_DEADLINE_MS_MAX;

/// How a call ends whose deadline is over.
pub fn exceeded() -> Status {
    Status::new(Code::DeadlineExceeded, "Deadline Exceeded")
}

/// When a call has to have ended that begins now, on the same clock, in milliseconds; none where it may take as long as it
/// likes.
///
/// # Errors
/// The value is not one, or the time is over at once.
pub fn of(value: Option<&[u8]>, now_ms: u64) -> Result<Option<u64>, Status> {
    let Some(value) = value else { return Ok(None) };
    let nanos = nanos(value).ok_or_else(|| Status::invalid("grpc-timeout is not up to eight digits and a unit"))?;
    if nanos == 0 {
        return Err(exceeded());
    }
    let millis = nanos.div_ceil(1_000_000);
    let is_kept = millis <= u128::from(CALL_DEADLINE_MS_MAX);
    Ok(is_kept.then(|| now_ms.saturating_add(millis as u64)))
}

fn nanos(value: &[u8]) -> Option<u128> {
    let (unit, digits) = value.split_last()?;
    let unit: u128 = match unit {
        b'H' => 3_600_000_000_000,
        b'M' => 60_000_000_000,
        b'S' => 1_000_000_000,
        b'm' => 1_000_000,
        b'u' => 1_000,
        b'n' => 1,
        _ => return None,
    };
    let is_number = (1..=8).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let number: u128 = std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()?;
    Some(number * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_units_are_read() {
        for (value, millis) in [
            ("1H", 3_600_000),
            ("2M", 120_000),
            ("3S", 3_000),
            ("250m", 250),
            ("9998492u", 9_999),
            ("1n", 1),
            ("00000001S", 1_000),
        ] {
            assert_eq!(of(Some(value.as_bytes()), 7), Ok(Some(millis + 7)), "{value}");
        }
        assert_eq!(of(None, 7), Ok(None));
        // More nanoseconds than 64 bits hold, as the client for Go sends: no deadline.
        assert_eq!((of(Some(b"2562048H"), 7), of(Some(b"99999999H"), 7)), (Ok(None), Ok(None)));
    }

    #[test]
    fn what_is_no_time_is_refused_and_none_is_over_at_once() {
        for wrong in ["", "S", "1", "1x", "-1S", "+1S", "1.5S", " 1S", "123456789S", "1SS", "\u{661}S"] {
            assert_eq!(
                of(Some(wrong.as_bytes()), 0).map_err(|status| status.code),
                Err(Code::InvalidArgument),
                "{wrong}"
            );
        }
        assert_eq!(of(Some(b"0n"), 0).map_err(|status| status.code), Err(Code::DeadlineExceeded));
    }
}
