//! The sequencer.
