//! Where jobs begin and end on the embedded log.

use super::command::Sandbox;
use super::start_modes;

#[test]
fn a_job_begins_and_ends_at_the_offsets_that_its_streams_name() {
    start_modes::are_kept_to(&Sandbox::new());
}
