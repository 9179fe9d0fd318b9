//! Watching foreign descriptors: a multishot poll each, so that a parked core wakes when one becomes readable.

use std::os::fd::RawFd;

use io_uring::{cqueue, opcode, types};

use super::{OpKind, user_data};
use crate::net_ring::driver::NetOps;

pub(in crate::net_ring) struct Watch {
    descriptor: RawFd,
}

pub(in crate::net_ring) fn watch(ops: &mut NetOps, descriptor: RawFd) {
    let index = ops.watches.len() as u32;
    ops.watches.push(Watch { descriptor });
    submit(ops, index);
}

fn submit(ops: &mut NetOps, index: u32) {
    let descriptor = ops.watches[index as usize].descriptor;
    let entry = opcode::PollAdd::new(types::Fd(descriptor), libc::POLLIN as u32)
        .multi(true)
        .build()
        .user_data(user_data(OpKind::Watch, index, 0));
    // SAFETY: the entry points to nothing; a descriptor that is closed meanwhile is an error of the operation.
    unsafe { ops.push(entry) };
}

pub(in crate::net_ring) fn complete(ops: &mut NetOps, index: u32, result: i32, flags: u32) {
    ops.counters.watch_events += 1;
    // The kernel ends a multishot poll when the completion queue overflows. An error would recur: the descriptor cannot
    // be polled.
    if !cqueue::more(flags) && (result >= 0 || result == -libc::ECANCELED) {
        submit(ops, index);
    }
}
