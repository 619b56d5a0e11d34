//! Whether the jail may have further processes.

use std::sync::mpsc;
use std::thread;

/// Bytes of the stack of a thread that only waits.
const STACK_BYTES: usize = 16 * 1024;

/// Whether so many further processes can begin now. Tried with threads, which the kernel counts as it counts
/// processes: what it says of its limits tells only of one of them, and not how many there are.
pub(in crate::inside) fn has_room_for(many: usize) -> bool {
    let mut held = Vec::with_capacity(many);
    let began = (0..many).all(|_| {
        let (hold, held_by) = mpsc::sync_channel::<()>(1);
        let waits = move || held_by.recv().unwrap_or_default();
        #[expect(clippy::disallowed_methods, reason = "it is not for work, and its end is waited for below")]
        let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn(waits);
        thread.map(|thread| held.push((hold, thread))).is_ok()
    });
    for (hold, thread) in held {
        drop(hold);
        // It has nothing to say, and cannot have panicked.
        thread.join().unwrap_or_default();
    }
    began
}
