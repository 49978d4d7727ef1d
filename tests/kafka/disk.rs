//! A disk that is full under the local store, while the log takes every epoch.

use crate::command::Sandbox;
use crate::full_disk::Job;
use crate::support::Broker;

#[test]
fn a_full_disk_under_the_local_store_stops_the_job_and_nothing_is_lost_or_twice() {
    let broker = Broker::shared();
    let sandbox = &Sandbox::on_kafka(&broker.bootstrap());
    // 70 MB of state, and 4 MB of memory for it: the store has to take all of it, and writes its
    // first file when 32 MB have come together.
    let counted = "DISTINCT REPEAT(page, 400)";
    let options = &["-D", "epoch.max.records=100", "--memory", "4MB"];
    let job = Job { sandbox, name: "full-store", counted, options };
    job.is_stopped_and_goes_on(512, "the disk that holds the state in state/store is full");
}

#[test]
fn what_the_end_of_a_job_cannot_bring_to_disk_is_told_and_missed_by_nobody() {
    let broker = Broker::shared();
    let sandbox = &Sandbox::on_kafka(&broker.bootstrap());
    // 400 epochs or more, and the store follows after 300: with a megabyte, which it keeps in
    // memory until the end.
    let options = &["-D", "epoch.max.records=50"];
    let job = Job { sandbox, name: "full-end", counted: "*", options };
    job.make();
    let told = ["all is committed", "the disk that holds the state in state/store is full"];
    job.run_with_files_of(512).expect(0, &[&told[..], &["full-end finished"]].concat());
    job.is_whole();
    job.run().expect(0, &["has finished before"]);
}
