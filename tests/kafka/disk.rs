//! A disk that is full under the local store, while the log takes every epoch.

use crate::command::Sandbox;
use crate::full_disk;
use crate::support::Broker;

#[test]
fn a_full_disk_under_the_local_store_stops_the_job_and_nothing_is_lost_or_twice() {
    let broker = Broker::shared();
    let sandbox = Sandbox::on_kafka(&broker.bootstrap());
    full_disk::is_survived(&sandbox, 512, "the disk that holds the state in state/store is full");
}
