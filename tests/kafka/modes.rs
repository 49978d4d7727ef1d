//! Where jobs begin and end on a real broker.

use crate::command::Sandbox;
use crate::start_modes;
use crate::support::Broker;

#[test]
fn a_job_begins_and_ends_at_the_offsets_that_its_streams_name() {
    let broker = Broker::shared();
    start_modes::are_kept_to(&Sandbox::on_kafka(&broker.bootstrap()));
}
