//! stub
/// stub
#[derive(Default)]
pub struct Groups;
