//! Topics of a broker that get more partitions under a job.

use crate::command::Sandbox;
use crate::growing;
use crate::support::Broker;

#[test]
fn partitions_that_are_added_join_in() {
    let broker = Broker::shared();
    growing::is_followed(&Sandbox::on_kafka(&broker.bootstrap()), "one", "1");
}

#[test]
fn partitions_that_are_added_join_in_on_four_workers() {
    let broker = Broker::shared();
    growing::is_followed(&Sandbox::on_kafka(&broker.bootstrap()), "four", "4");
}

#[test]
fn a_bounded_job_leaves_partitions_that_are_added_alone() {
    let broker = Broker::shared();
    growing::is_left_alone_by_bounds(&Sandbox::on_kafka(&broker.bootstrap()));
}
